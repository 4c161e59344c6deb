"""What the service itself costs, measured as CPU time: the wall clock of a shared machine tells little."""

"""MongoDB as the store."""

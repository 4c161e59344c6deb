"""Background tasks that are restarted when they fail, and waits that end on time without cancelling the work. Knows nothing of stores."""

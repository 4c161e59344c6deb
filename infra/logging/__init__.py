"""What the process says: one JSON object a line on stdout."""

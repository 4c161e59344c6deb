"""Lines of the log: one for each request, and one for each background answer that has ended."""

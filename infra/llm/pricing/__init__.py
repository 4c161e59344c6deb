"""The cost of answers."""

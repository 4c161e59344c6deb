"""Use cases of a whole conversation: its record, its content in order, and its erasure."""

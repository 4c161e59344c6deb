"""The two stacks: stored data, and the running service."""

"""The two stacks: what is kept, and what runs."""

"""What the process counts and measures."""

"""Measures history from ten thousand to ten million interactions."""

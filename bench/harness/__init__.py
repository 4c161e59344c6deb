"""Starts services, sends load, and measures the cost."""

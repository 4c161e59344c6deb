"""Chooses and opens the configured store of history."""

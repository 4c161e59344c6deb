"""Limits of callers that all processes and hosts share, counted in the store."""

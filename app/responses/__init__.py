"""Writes responses: JSON bodies, event streams and file downloads."""

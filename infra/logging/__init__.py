"""Structured logging: one JSON object per line on stdout."""

"""Idempotency records in a SQLite file."""

"""Idempotency records in each store."""

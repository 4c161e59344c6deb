"""Drivers of files and databases, shared by history, idempotency keys and API keys."""

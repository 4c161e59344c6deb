"""Access to files and database drivers, shared by history, idempotency keys and API keys."""

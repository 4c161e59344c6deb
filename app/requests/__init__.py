"""Reading a request: strict bodies, the Idempotency-Key header, the caller."""

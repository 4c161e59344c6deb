"""Application services: permissions, limits and idempotency. Independent of HTTP."""

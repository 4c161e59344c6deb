"""The stores that can be configured: what opens history, archive and idempotency records of each."""

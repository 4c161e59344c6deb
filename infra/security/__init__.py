"""Authentication, rate limits and signed cursors."""

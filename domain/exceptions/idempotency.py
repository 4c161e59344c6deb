"""Errors of requests with an Idempotency-Key."""

from domain.exceptions.base import DomainError


class IdempotencyInProgress(DomainError):
    """The first request with this key is still running."""

    code = "idempotency-in-progress"


class IdempotencyMismatch(DomainError):
    """The key was used with another request."""

    code = "idempotency-mismatch"


class IdempotencyUnavailable(DomainError):
    """Idempotency records cannot be read or written at the moment, so nothing was done."""

    code = "idempotency-unavailable"

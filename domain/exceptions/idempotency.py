"""What a request that wants to be carried out once can fail with."""

from domain.exceptions.base import DomainError


class IdempotencyInProgress(DomainError):
    """The first request with this key is still running."""

    code = "idempotency-in-progress"


class IdempotencyMismatch(DomainError):
    """The key was used with another request."""

    code = "idempotency-mismatch"


class IdempotencyUnavailable(DomainError):
    """Keys cannot be kept or looked up right now, so nothing was done."""

    code = "idempotency-unavailable"

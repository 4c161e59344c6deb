"""Errors of authentication and of a caller's limits."""

from typing import Literal

from domain.exceptions.base import DomainError


class Unauthenticated(DomainError):
    """No credentials, or invalid ones; the reason is not revealed.

    Attributes:
        were_given: Whether credentials were sent.
    """

    code = "unauthenticated"

    def __init__(self, *, were_given: bool) -> None:
        super().__init__("credentials are not valid" if were_given else "no credentials")
        self.were_given = were_given


class AuthUnavailable(DomainError):
    """Credentials cannot be checked at the moment."""

    code = "auth-unavailable"


class RateLimited(DomainError):
    """A limit of the caller is exhausted; nothing was done.

    Attributes:
        retry_after_seconds: Time until the same request may be accepted.
        limit: Requests per minute, concurrent requests, tokens per day, or failed credentials of one address.
    """

    code = "rate-limited"

    def __init__(
        self,
        retry_after_seconds: float,
        limit: Literal["requests", "concurrency", "tokens", "credentials"] = "requests",
    ) -> None:
        super().__init__("limit exhausted")
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit

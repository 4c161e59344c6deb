"""Who is calling, and how much they may."""

from typing import Literal

from domain.exceptions.base import DomainError


class Unauthenticated(DomainError):
    """No credentials, or none that are valid; which of their parts is wrong is not told.

    Attributes:
        were_given: Credentials came, but do not hold.
    """

    code = "unauthenticated"

    def __init__(self, *, were_given: bool) -> None:
        super().__init__("credentials do not hold" if were_given else "no credentials")
        self.were_given = were_given


class AuthUnavailable(DomainError):
    """Credentials cannot be checked right now: neither good nor bad ones are told apart."""

    code = "auth-unavailable"


class RateLimited(DomainError):
    """The caller's own limit is used up; nothing was done.

    Attributes:
        retry_after_seconds: When the same request may be let in.
        limit: Which one it is: how many in a while, how many at once, what they may cost in a day, or how many
            credentials of one address may fail.
    """

    code = "rate-limited"

    def __init__(
        self,
        retry_after_seconds: float,
        limit: Literal["requests", "concurrency", "tokens", "credentials"] = "requests",
    ) -> None:
        super().__init__("limit used up")
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit

"""Ports for limits of requests and tokens per caller."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """Remaining requests of a caller.

    Attributes:
        remaining: Requests that can be sent immediately.
        reset_seconds: Time until all requests are available again; if none remains, until the next one is.
    """

    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """Counts each caller's requests, in this process or in all that share a store."""

    @abstractmethod
    async def admit(self, name: str) -> RateLimitStatus:
        """Count a request of the caller `name`; it is concurrent with others until `release`.

        Raises:
            RateLimited: Too many requests per minute, or too many concurrent ones; nothing was counted.
        """
        ...

    @abstractmethod
    def release(self, name: str) -> None:
        """Count the end of an admitted request; once per `admit`. Does not wait."""
        ...

    @abstractmethod
    def count_as_reader(self, name: str) -> bool:
        """Count an admitted request among the readers of background answers instead of the concurrent requests.

        It then ends with `release_reader` instead of `release`. Return False, with nothing changed, if the caller has
        as many readers as it may have.
        """
        ...

    @abstractmethod
    def release_reader(self, name: str) -> None:
        """Count the end of a reader; once per `count_as_reader` that returned True."""
        ...

    @abstractmethod
    def status(self, name: str) -> RateLimitStatus:
        """Return the remaining requests of `name`, without counting one; as known to this process."""
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens reserved for one call.

    Attributes:
        name: Name of the caller.
        tokens: Number of reserved tokens.
        day: Day of the budget, in days since 1970 UTC.
    """

    name: str
    tokens: int
    day: int


class TokenBudget(Protocol):
    """Counts the tokens each caller spends per day (UTC), in this process or in all that share a store."""

    @abstractmethod
    async def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        """Reserve tokens for one call: `most`, or the remaining budget of the day if that is less.

        Reserved and spent tokens together never exceed the budget, also with concurrent calls.

        Args:
            name: Name of the caller.
            least: Minimum number of tokens for the call.
            most: Maximum number of tokens for the call.

        Raises:
            RateLimited: Less than `least` remains; nothing was reserved.
        """
        ...

    @abstractmethod
    def settle(self, reservation: Reservation, spent: int) -> None:
        """Replace a reservation by the tokens that were used; once per reservation. Does not wait."""
        ...

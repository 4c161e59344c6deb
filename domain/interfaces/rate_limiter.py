"""How much a caller may do, and how much of it is left."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a caller has left of its requests.

    Attributes:
        remaining: Requests that could be sent at once.
        reset_seconds: Until all of them are there again; when none is left, until the next one is.
    """

    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """Counts what each caller does in this process; answers at once."""

    @abstractmethod
    def admit(self, name: str) -> RateLimitStatus:
        """Count one request of the caller `name`, and one more of its requests under way until `release`.

        Raises:
            RateLimited: Too many in a while, or too many at once; nothing was counted.
        """
        ...

    @abstractmethod
    def release(self, name: str) -> None:
        """One request that was admitted has ended."""
        ...

    @abstractmethod
    def status(self, name: str) -> RateLimitStatus:
        """Return what `name` has left, without counting anything."""
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for one call.

    Attributes:
        name: The caller.
        tokens: How many.
        day: Whose budget they came from, in days since 1970 UTC.
    """

    name: str
    tokens: int
    day: int


class TokenBudget(Protocol):
    """Counts the tokens each caller spends in a day (UTC) in this process; answers at once."""

    @abstractmethod
    def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        """Set tokens of `name`'s day aside for one call: `most`, or what is left if that is less.

        Whatever is called at the same time, what is set aside and what is spent never exceed the budget together.

        Args:
            name: The caller.
            least: With less than this the call is of no use.
            most: What the call may take at the most.

        Raises:
            RateLimited: Less than `least` is left; nothing was set aside.
        """
        ...

    @abstractmethod
    def settle(self, reservation: Reservation, spent: int) -> None:
        """Replace what was set aside for one call by what it really took; once for each reservation."""
        ...

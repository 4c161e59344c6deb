"""The interface of shared counters in a store: two counters of a caller, changed atomically."""

from abc import abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

NANOSECONDS = 1_000_000_000
_WINDOW_SECONDS = 60


class CountersUnavailable(Exception):
    """The store did not respond in time or failed; whether it counted is unknown."""


@dataclass(frozen=True, slots=True)
class RequestRate:
    """A token bucket: its capacity is the requests of one minute, and it refills evenly.

    Its state is one number: the time at which it will be full. Whole nanoseconds, so that no store rounds.

    Attributes:
        requests_per_minute: The capacity.
        interval: Nanoseconds in which one request is refilled, rounded up.
    """

    requests_per_minute: int

    @property
    def interval(self) -> int:
        return -(-_WINDOW_SECONDS * NANOSECONDS // self.requests_per_minute)

    @property
    def window(self) -> int:
        """Return the nanoseconds in which an empty bucket is refilled."""
        return self.requests_per_minute * self.interval

    def available(self, full_at: int, now: int) -> int:
        """Return how many requests a bucket holds that will be full at `full_at`."""
        return max(0, (now + self.window - max(full_at, now)) // self.interval)

    def is_ahead(self, full_at: int, now: int) -> bool:
        """Return whether the bucket would be more than empty: a clock was set back since the last change."""
        return full_at > now + self.window


@dataclass(frozen=True, slots=True)
class GrantedRequests:
    """What `take_requests` took.

    Attributes:
        granted: Number of requests; 0 if the bucket is empty.
        full_after: Nanoseconds until the bucket is full if nothing more is taken.
    """

    granted: int
    full_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """A change of the tokens that are taken from a caller's budget of one day.

    Attributes:
        budget: Tokens of the day.
        least: With fewer left nothing is granted.
        wanted: Tokens to take; fewer are granted if fewer are left.
        returned: Tokens taken earlier and not used, which are left again; negative: used without having been taken.
        spent: Tokens that were used, of those taken.
    """

    budget: int
    least: int = 0
    wanted: int = 0
    returned: int = 0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """The outcome of a `TokenChange`.

    Attributes:
        granted: Tokens that were taken.
        left: Tokens of the day that are not taken; negative if more were used than the budget.
        unspent: Tokens of the day that are not used, as far as the processes have reported.
    """

    granted: int
    left: int
    unspent: int


class SharedCounters(Protocol):
    """Counts for all processes that share a store. Concurrent changes take effect one after the other.

    Times are those of the callers' clocks, which have to agree within seconds: a host whose clock is ahead by a second
    gets the requests of one second more, once. A bucket whose time is more than its window ahead, since a clock was set
    back, counts as empty.
    """

    @abstractmethod
    async def take_requests(
        self, name: str, rate: RequestRate, *, wanted: int, now: int
    ) -> GrantedRequests:
        """Take up to so many requests from the bucket of `name`; a new bucket is full.

        Args:
            name: Name of the caller.
            rate: Of the bucket.
            wanted: At least 1.
            now: Nanoseconds since 1970 UTC.

        Raises:
            CountersUnavailable: The requests may have been taken.
        """
        ...

    @abstractmethod
    async def change_tokens(self, name: str, day: int, change: TokenChange) -> GrantedTokens:
        """Apply a change to the tokens of `name` on `day`, in days since 1970 UTC.

        Raises:
            CountersUnavailable: The change may have been applied.
        """
        ...


def digest(name: str) -> str:
    """Return what is stored instead of the name of a caller, which may be a user id or an address."""
    return sha256(name.encode()).hexdigest()[:32]

"""The interface of event logs in a store that all hosts share."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.entities.background.answer import AnswerKey, AnswerLease
from domain.entities.background.log import LeaseState
from infra.answers.chunks import Chunk, Stored

ERASED_EPOCH = 0
"""Epoch of the chunks of an erased log; leases have greater ones."""
ERASED_AT_ONCE = 100
"""Maximum number of a user's logs that are looked up at once to be erased."""


@dataclass(slots=True)
class StoredChunk:
    """A chunk as it was read.

    Attributes:
        written_milliseconds: None for a chunk without records.
        body: As stored.
    """

    position: int
    epoch: int
    first_number: int
    next_number: int
    count: int
    is_last: bool
    written_milliseconds: int | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A new lease, with its log.

    Attributes:
        request: As stored.
    """

    lease: AnswerLease
    is_stopped: bool
    begun_milliseconds: int
    request: bytes
    chunks: Sequence[StoredChunk]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A part of a log.

    Attributes:
        request: As stored; None if it was not requested.
        end_number: Number that follows the last event; None while the log has no end.
    """

    request: bytes | None
    end_number: int | None
    chunks: Sequence[StoredChunk]


class SharedLogs(Protocol):
    """Logs in a store of all hosts, fenced without a lock: an append either takes the next position or fails.

    Each method makes one or several calls of the driver and raises the driver's errors. Times are in milliseconds since
    1970 UTC.
    """

    @abstractmethod
    async def begin(
        self, key: AnswerKey, request: bytes, *, now_milliseconds: int, lease_until: int
    ) -> bool:
        """Create a log with its first lease; return False if there is one, or its id has an erased one."""
        ...

    @abstractmethod
    async def put(self, chunk: Chunk, now_milliseconds: int) -> Stored:
        """Store a chunk, or return what its lease stored at its position before; raises `LeaseLost`."""
        ...

    @abstractmethod
    async def renew(self, leases: Sequence[AnswerLease], lease_until: int) -> list[LeaseState]:
        """Renew the leases that are not lost; return the states of all."""
        ...

    @abstractmethod
    async def states(self, leases: Sequence[AnswerLease]) -> list[LeaseState]:
        """Return the states of leases, in order."""
        ...

    @abstractmethod
    async def give_up(self, lease: AnswerLease, now_milliseconds: int) -> None:
        """End a lease that is not lost."""
        ...

    @abstractmethod
    async def abandoned(self, now_milliseconds: int, limit: int) -> list[AnswerKey]:
        """Return the answers without an end whose lease ended at a time or before it, the earliest first."""
        ...

    @abstractmethod
    async def take_over(
        self,
        key: AnswerKey,
        *,
        now_milliseconds: int,
        lease_until: int,
        on_lease: Callable[[AnswerLease], None],
    ) -> Taken | None:
        """Create a new lease if the previous one ended, and take the next position of the log.

        Args:
            key: The answer.
            now_milliseconds: The current time.
            lease_until: End of the new lease.
            on_lease: Called once the lease is created; the caller gives it up if the rest fails.
        """
        ...

    @abstractmethod
    async def find(
        self,
        key: AnswerKey,
        *,
        after: int,
        limit: int,
        with_request: bool,
        now_milliseconds: int,
    ) -> Found | None:
        """Return chunks with events after a number, up to `limit` events and the rest of their chunk.

        None without a log, and with one that is erased or expired: the store removes expired ones later.
        """
        ...

    @abstractmethod
    async def stop(self, key: AnswerKey) -> bool:
        """Mark a log as stopped; return whether there is one without an end."""
        ...

    @abstractmethod
    async def erase(self, key: AnswerKey, now_milliseconds: int) -> None:
        """Remove request and records of a log. Its positions stay taken for a week, so that no writer adds to it."""
        ...

    @abstractmethod
    async def to_erase(self, user_id: str, *, after_id: str, before_id: str) -> list[AnswerKey]:
        """Return the next logs of a user between two ids that are not erased, or not to the end; empty without any.

        The ids ascend; the caller continues after the last one.
        """
        ...


def lease_state(*, is_held: bool, is_stopped: bool) -> LeaseState:
    """Return the state of a lease."""
    if not is_held:
        return LeaseState.LOST
    return LeaseState.STOPPED if is_stopped else LeaseState.HELD

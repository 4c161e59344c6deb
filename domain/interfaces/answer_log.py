"""Port for the event logs of background answers."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver


class AnswerLog(Protocol):
    """A durable log for each background answer, written by the holder of its lease and read by any process.

    Every method but `stop` and `read` may raise `HistoryUnavailable`: not confirmed. A retry is safe.

    Attributes:
        write_pause_seconds: Minimum time between two appends of one answer; 0.0 if writes are cheap.
        poll_seconds: Minimum time between two polls for events that other processes wrote.
    """

    write_pause_seconds: float
    poll_seconds: float

    @abstractmethod
    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        """Create the log of an answer and return the first lease, once both are durable.

        Raises:
            AnswerExists: The id has a log already, which is not changed; or it had one that was erased, and `read` returns None.
            HistoryUnavailable: Not confirmed; it may be created nevertheless, unless it is erased.
        """
        ...

    @abstractmethod
    async def append(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        """Add records, all or none, and return once they are durable; no reader sees them before.

        Repeating an append that failed adds the records once. The lease is not renewed.

        Raises:
            LeaseLost: The log refuses the records: another process has a newer lease, the log has ended, or the answer
                was erased.
        """
        ...

    @abstractmethod
    async def end(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        """Add the last records, the last of which is the `Interaction`, and end log and lease; raises as `append`."""
        ...

    @abstractmethod
    async def renew(
        self, leases: Sequence[AnswerLease], *, lease_seconds: float
    ) -> Sequence[LeaseState]:
        """Renew leases of this process and return their states, in order; an expired lease is renewed if no other process took it."""
        ...

    @abstractmethod
    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        """Return the states of leases, in order, without renewing them."""
        ...

    @abstractmethod
    async def give_up(self, lease: AnswerLease) -> None:
        """End the lease, so that any process may take over at once; no-op if it is lost."""
        ...

    @abstractmethod
    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        """Return unfinished answers whose lease expired or was released, those first that wait longest."""
        ...

    @abstractmethod
    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        """Return the answer with a new lease; None if another process has one, or there is nothing to take over.

        From then on the log refuses records of the previous lease. If the log cannot be read, the new lease is given up, so
        that any process may take over at once and the death of the previous one counts once.
        """
        ...

    @abstractmethod
    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        """Return up to about `limit` events with numbers greater than `after` (-1: all); None without a log.

        Raises:
            HistoryUnreadable: The log cannot be read.
        """
        ...

    @abstractmethod
    def subscribe(self, key: AnswerKey) -> AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever this process adds to the log or removes it."""
        ...

    @abstractmethod
    async def stop(self, key: AnswerKey) -> bool:
        """Request the end of the answer from the current or next holder of the lease; return whether the answer is unfinished.

        Raises:
            HistoryUnreadable: The log cannot be written.
        """
        ...

    @abstractmethod
    async def erase(self, key: AnswerKey) -> None:
        """Remove a log; its writer loses its lease. No-op without one."""
        ...

    @abstractmethod
    async def erase_all(self, user_id: str, until_id: str) -> None:
        """Remove all logs of a user up to the millisecond of `until_id`."""
        ...

    @abstractmethod
    async def purge(self) -> None:
        """Remove all logs that ended before their retention time; other writes continue meanwhile."""
        ...

"""Delivers the rows of an outbox to its sink."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from domain.entities.interaction import Interaction
from domain.exceptions import AttachmentsUnavailable, HistoryError, HistoryUnavailable, Unstorable
from domain.interfaces.clock import Clock
from infra.history.format.documents import UnreadableDocument, interaction_of
from infra.history.sqlite.outbox.delivery_jobs import (
    Delivered,
    Refuse,
    next_undelivered,
    undelivered_at,
    undelivered_near,
)
from infra.history.sqlite.outbox.store_status import StoreStatus
from infra.history.sqlite.read_pool import ReadConnections
from infra.history.sqlite.store import SqliteHistory

logger = logging.getLogger(__name__)

BATCH_ROWS = 256
BATCH_BYTES = 4 * 1024 * 1024
PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_WRITE_SECONDS = 30.0

FEWER = 16
"""Factor by which the next batch is smaller after a failure, and larger after a delivery."""
FIRST_STRIKES = 2
"""Strikes after which a row is retried on its own, with growing pauses."""
MOST_STRIKES = 8
"""Strikes after which a row is set aside."""
DEFERRED_SECONDS = 1.0
LONGEST_DEFERRED_SECONDS = 60.0
FAILS_ALONE = "it fails while others are kept"
UNREADABLE = "it cannot be read"

Row = tuple[int, Interaction]


@dataclass(slots=True)
class _Suspect:
    """A row that failed in a batch of its own.

    Attributes:
        strikes: How often it failed, and another row was delivered right after it.
        has_failed: Whether it failed since the last delivery.
        until_seconds: Time of the next try, on the loop's clock.
        waits_for_attachments: Its last failure was an outage of the store of attachments, so it is never set aside.
    """

    strikes: int = 0
    has_failed: bool = False
    until_seconds: float = 0.0
    waits_for_attachments: bool = False

    @property
    def is_deferred(self) -> bool:
        """Whether the row is retried on its own, not in batches."""
        return self.strikes >= FIRST_STRIKES


class Sink(Protocol):
    """The destination of rows: a store, or a queue in front of one. Storing a row twice keeps it once."""

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        """Store all of them; some may be stored when it raises `HistoryUnavailable`.

        A cancellation ends it promptly, whatever its driver does: the relay bounds it by `asyncio.timeout`.
        """
        ...


class Relay:
    """Delivers batch after batch, oldest first, with growing pauses while the sink is unavailable.

    A row is marked only after the sink has acknowledged it: a crash in between delivers it twice, which changes nothing.

    A row that the sink refuses permanently is set aside. Other failures may be an outage, or the fault of one row: each
    makes the next batch smaller, down to a single row. When that fails too, a row from elsewhere in the queue is tried.
    If it is delivered, the sink works, and the failed row gets a strike. With two strikes a row is retried on its own,
    with growing pauses, while all others are delivered; with eight it is set aside. During an outage no row gets one.

    Attributes:
        delivering: A lock that is held while a batch is delivered: its holder knows which rows were delivered.
        failures: Number of unexpected failures.
        broken_since_milliseconds: First unexpected failure since the last delivery, since 1970 UTC; None if none.
        on_delivered: Called with each batch that the sink has acknowledged; must return at once and not raise.
    """

    def __init__(self, file: SqliteHistory, sink: Sink, state: StoreStatus, clock: Clock) -> None:
        self.delivering = asyncio.Lock()
        self.failures = 0
        self.broken_since_milliseconds: int | None = None
        self.on_delivered: Callable[[Sequence[Interaction]], None] = lambda _: None
        self._file = file
        self._sink = sink
        self._state = state
        self._clock = clock
        self._woken = asyncio.Event()
        self._rows_at_once = BATCH_ROWS
        self._suspects: dict[int, _Suspect] = {}
        self._failed_alone: int | None = None
        self._tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_idle = asyncio.Event()

    def wake(self) -> None:
        """Notify the relay that there is something to deliver."""
        self._is_idle.clear()
        self._woken.set()

    def note_failure(self) -> None:
        """Count an unexpected failure of `run`, which is restarted."""
        self.failures += 1
        if self.broken_since_milliseconds is None:
            self.broken_since_milliseconds = self._clock.now_milliseconds()

    async def run(self) -> None:
        """Deliver without end; raises unexpected errors, and may be restarted."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                delivered = await self._deliver_batch()
                self.broken_since_milliseconds = None
                self._notify_tried()
            except HistoryError:
                self._notify_tried()
                failures += 1
                await self._clock.sleep(pause_seconds(failures))
                continue
            failures = 0
            if not delivered and not self._woken.is_set():
                await self._rest()

    def next_try(self) -> asyncio.Future[None]:
        """Return a future, not to be cancelled, that is done after the next try to deliver a batch, whatever its outcome."""
        return self._tried

    async def drain(self, *, seconds: float) -> bool:
        """Wait until everything is delivered, at most `seconds`; return whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

    async def _rest(self) -> None:
        """Wait until there is something to deliver, or a deferred row is due."""
        if not self._suspects:
            self._is_idle.set()
            await self._woken.wait()
            return
        due_seconds = min(suspect.until_seconds for suspect in self._suspects.values())
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_seconds):
                await self._woken.wait()

    def _notify_tried(self) -> None:
        if not self._tried.done():
            self._tried.set_result(None)
        self._tried = asyncio.get_running_loop().create_future()

    async def _deliver_batch(self) -> bool:
        """Deliver the oldest rows; return whether there were any."""
        async with self.delivering:
            found = await self._next()
            rows: list[Row] = []
            for position, document in found:
                try:
                    rows.append((position, interaction_of(document)))
                except UnreadableDocument:
                    await self._refuse(position, document.get("id"), UNREADABLE)
            if rows:
                try:
                    await self._deliver(rows)
                except BaseException as error:  # after any failure the next batch must be smaller
                    self._note_failed(rows, error)
                    raise
                self._rows_at_once = min(self._rows_at_once * FEWER, BATCH_ROWS)
            return bool(found)

    async def _next(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the next rows to try: the oldest, or one from elsewhere when the oldest has just failed on its own."""
        failed_alone, self._failed_alone = self._failed_alone, None
        share = random.random()  # noqa: S311 - not a secret
        now_seconds = asyncio.get_running_loop().time()
        deferred = {
            position: suspect for position, suspect in self._suspects.items() if suspect.is_deferred
        }
        due = [
            position
            for position, suspect in deferred.items()
            if suspect.until_seconds <= now_seconds
        ]

        def read(connections: ReadConnections) -> list[tuple[int, dict[str, Any]]]:
            file = connections.to(self._file.path)
            if failed_alone is not None and (
                other := undelivered_near(file, share, but=failed_alone)
            ):
                return other
            for position in due:
                if found := undelivered_at(file, position):
                    return found
            return next_undelivered(
                file, rows=self._rows_at_once, size_bytes=BATCH_BYTES, without=deferred
            )

        found = await self._file.reads.run(read)
        if not found:  # suspects that are not deferred, or due, were erased meanwhile
            self._suspects = {
                position: suspect
                for position, suspect in deferred.items()
                if suspect.until_seconds > now_seconds
            }
        return found

    def _note_failed(self, rows: Sequence[Row], error: BaseException) -> None:
        """Make the next batch smaller; after a single row, try another one next to compare them."""
        if len(rows) > 1:
            # the failed batch may have been smaller than the limit
            self._rows_at_once = max(1, min(self._rows_at_once, len(rows)) // FEWER)
            return
        position = rows[0][0]
        suspect = self._suspects.setdefault(position, _Suspect())
        suspect.has_failed = True
        suspect.waits_for_attachments = isinstance(error, AttachmentsUnavailable)
        if not suspect.is_deferred:
            self._rows_at_once = 1
        self._failed_alone = position

    async def _note_delivered(self, positions: Sequence[int]) -> None:
        """Give a strike to each row that failed on its own since the last delivery, since the sink works."""
        for position in positions:
            self._suspects.pop(position, None)
        now_seconds = asyncio.get_running_loop().time()
        for position, suspect in list(self._suspects.items()):
            if not suspect.has_failed:
                continue
            suspect.has_failed = False
            if not suspect.waits_for_attachments or suspect.strikes < MOST_STRIKES - 1:
                suspect.strikes += 1
            if suspect.strikes >= MOST_STRIKES:
                del self._suspects[position]
                await self._refuse(position, None, FAILS_ALONE)
            elif suspect.is_deferred:
                deferred_seconds = DEFERRED_SECONDS * 2.0 ** (suspect.strikes - FIRST_STRIKES)
                suspect.until_seconds = now_seconds + min(
                    deferred_seconds, LONGEST_DEFERRED_SECONDS
                )

    async def _deliver(self, rows: Sequence[Row]) -> None:
        interactions = [interaction for _, interaction in rows]
        try:
            async with asyncio.timeout(LONGEST_WRITE_SECONDS):
                await self._sink.append_many(interactions)
        except Unstorable as exc:
            self._state.note_success()
            await self._isolate(rows, exc.reason)
            return
        except AttachmentsUnavailable:
            raise
        except (HistoryUnavailable, TimeoutError) as exc:
            self._state.note_failure()
            raise HistoryUnavailable("the store is away") from exc
        self._state.note_success()
        self.on_delivered(interactions)
        positions = [position for position, _ in rows]
        await self._file.commits.submit(Delivered(positions, self._clock.now_milliseconds()))
        if self._suspects:
            await self._note_delivered(positions)

    async def _isolate(self, rows: Sequence[Row], reason: str) -> None:
        """Deliver each half on its own, down to the row that is refused."""
        if len(rows) == 1:
            position, interaction = rows[0]
            self._suspects.pop(position, None)
            await self._refuse(position, interaction.id, reason)
            return
        middle = len(rows) // 2
        await self._deliver(rows[:middle])
        await self._deliver(rows[middle:])

    async def _refuse(self, position: int, interaction_id: str | None, reason: str) -> None:
        logger.error(
            "interaction %s is set aside in %s: %s",
            interaction_id or f"at {position}",
            self._file.path,
            reason,
        )
        await self._file.commits.submit(Refuse(position, reason, self._clock.now_milliseconds()))


def pause_seconds(failures: int) -> float:
    """Return the pause after consecutive failures: it doubles up to 5 s, and half of it is random."""
    longest = min(PAUSE_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

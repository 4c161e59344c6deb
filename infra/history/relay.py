"""Carries what an outbox accepted to where it belongs."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from domain.entities.interaction import Interaction
from domain.exceptions import HistoryError, HistoryUnavailable, Unstorable
from domain.interfaces.clock import Clock
from infra.history.abandoning import within
from infra.history.documents import UnreadableDocument, interaction_of
from infra.history.outbox_jobs import Delivered, Refuse, next_undelivered
from infra.history.sqlite import SqliteHistory
from infra.history.store_state import StoreState

logger = logging.getLogger(__name__)

BATCH_ROWS = 256
BATCH_BYTES = 4 * 1024 * 1024
PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_WRITE_SECONDS = 30.0

Row = tuple[int, Interaction]


class Sink(Protocol):
    """Where rows go: a store, or a queue in front of one. Keeping a row twice keeps it once."""

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        """Keep all of them; some may be kept when it raises `HistoryUnavailable`."""
        ...


class Relay:
    """Delivers batch after batch, oldest first, and waits longer and longer while the sink is away.

    A row is marked only after the sink has acknowledged it: a crash in between delivers it twice, which changes nothing.

    Attributes:
        failures: How often it failed with what nobody foresaw.
        broken_since_milliseconds: When it first did so, of all times since it last delivered; None while it works.
        on_delivered: Is told of what the sink has acknowledged; returns at once and never fails.
    """

    def __init__(self, file: SqliteHistory, sink: Sink, state: StoreState, clock: Clock) -> None:
        self.delivering = asyncio.Lock()
        """Held while a batch is on its way: whoever holds it knows what was delivered and what was not."""

        self.failures = 0
        self.broken_since_milliseconds: int | None = None
        self.on_delivered: Callable[[Sequence[Interaction]], None] = lambda _: None
        self._file = file
        self._sink = sink
        self._state = state
        self._clock = clock
        self._woken = asyncio.Event()
        self._tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_idle = asyncio.Event()

    def wake(self) -> None:
        """Tell it that there is something to deliver."""
        self._is_idle.clear()
        self._woken.set()

    def note_failure(self) -> None:
        """Count a failure of `run`, which is begun again."""
        self.failures += 1
        if self.broken_since_milliseconds is None:
            self.broken_since_milliseconds = self._clock.now_milliseconds()

    async def run(self) -> None:
        """Deliver for ever; raises what nobody foresaw, and may be begun again."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                delivered = await self._deliver_batch()
                self.broken_since_milliseconds = None
                self._tell_tried()
            except HistoryError:
                self._tell_tried()
                failures += 1
                await self._clock.sleep(pause_seconds(failures))
                continue
            failures = 0
            if not delivered and not self._woken.is_set():
                self._is_idle.set()
                await self._woken.wait()

    def next_try(self) -> asyncio.Future[None]:
        """Return a future, not to be cancelled, that is done once a batch was tried, whatever became of it."""
        return self._tried

    async def drain(self, *, seconds: float) -> bool:
        """Return whether everything was delivered, after at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

    def _tell_tried(self) -> None:
        if not self._tried.done():
            self._tried.set_result(None)
        self._tried = asyncio.get_running_loop().create_future()

    async def _deliver_batch(self) -> bool:
        """Deliver the oldest rows; return whether there were any."""
        async with self.delivering:
            found = await self._file.reads.run(
                lambda connections: next_undelivered(
                    connections.to(self._file.path), rows=BATCH_ROWS, size_bytes=BATCH_BYTES
                )
            )
            rows: list[Row] = []
            for position, document in found:
                try:
                    rows.append((position, interaction_of(document)))
                except UnreadableDocument:
                    await self._refuse(position)
            if rows:
                await self._deliver(rows)
            return bool(found)

    async def _deliver(self, rows: Sequence[Row]) -> None:
        interactions = [interaction for _, interaction in rows]
        try:
            await within(LONGEST_WRITE_SECONDS, _appended(self._sink, interactions))
        except Unstorable:
            self._state.worked()
            await self._isolate(rows)
            return
        except (HistoryUnavailable, TimeoutError) as exc:
            self._state.failed()
            raise HistoryUnavailable("the store is away") from exc
        self._state.worked()
        self.on_delivered(interactions)
        positions = [position for position, _ in rows]
        await self._file.commits.submit(Delivered(positions, self._clock.now_milliseconds()))

    async def _isolate(self, rows: Sequence[Row]) -> None:
        """Deliver each half by itself, until the row that is refused stands alone."""
        if len(rows) == 1:
            await self._refuse(rows[0][0])
            return
        middle = len(rows) // 2
        await self._deliver(rows[:middle])
        await self._deliver(rows[middle:])

    async def _refuse(self, position: int) -> None:
        logger.error("the store refuses an interaction: it is set aside in %s", self._file.path)
        await self._file.commits.submit(Refuse(position))


async def _appended(sink: Sink, interactions: Sequence[Interaction]) -> None:
    await sink.append_many(interactions)


def pause_seconds(failures: int) -> float:
    """Return how long to wait after so many failures in a row: doubling to 5 s, half of it by chance."""
    longest = min(PAUSE_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

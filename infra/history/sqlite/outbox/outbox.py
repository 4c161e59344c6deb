"""The outbox: accepts history for a store that may be slow or unavailable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, first_id_after
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.health import Degraded
from domain.interfaces.history import HistoryRepository, UsageReader
from infra.history.sqlite.outbox.delivery_jobs import (
    Backlog,
    RetryRefused,
    SetAside,
    count_undelivered,
)
from infra.history.sqlite.outbox.host_reader import HostReader
from infra.history.sqlite.outbox.housekeeping import Housekeeping
from infra.history.sqlite.outbox.merged_reader import MergedReader
from infra.history.sqlite.outbox.outbox_file import OutboxCommitter, acquire_outbox
from infra.history.sqlite.outbox.relay import Relay, Sink
from infra.history.sqlite.outbox.schema import OUTBOX_MIGRATIONS
from infra.history.sqlite.outbox.store_records import StoreRecords
from infra.history.sqlite.outbox.store_status import StoreStatus
from infra.history.sqlite.store import REAP_SECONDS, SqliteHistory, open_file, translate_open_errors
from infra.history.sqlite.write_jobs import EndMarker
from infra.history.store.durable_store import DurableStore
from infra.history.store.retention import FOR_EVER, Retention
from infra.history.store.visibility import wait_until_found
from infra.storage.private_files import make_private_folder
from infra.tasks.supervised import repeating, running_tasks

OUTBOX_FOLDER = "outbox"
HOUSEKEEPING_SECONDS = 5.0
DRAIN_SECONDS = 5.0
KEEP_DELIVERED_SECONDS = 3600.0
MAX_ROWS = 500_000
MAX_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of an `Outbox`."""

    file: SqliteHistory
    reading: MergedReader
    relay: Relay
    housekeeping: Housekeeping
    store: DurableStore
    state: StoreStatus
    backlog: Callable[[], Backlog]
    set_aside: Callable[[], SetAside]


class Outbox(HistoryRepository, UsageReader):
    """History whose `append` returns when the interaction is durable on this host; a relay delivers it to the store.

    Reads merge both, so that an append can be read on this host at once, even while the store is unavailable.
    """

    def __init__(
        self, parts: Parts, clock: Clock, *, max_rows: int, max_bytes: int, read_seconds: float
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._read_seconds = read_seconds
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def admit(self) -> None:
        self._parts.file.admit()
        if self.fill_ratio() >= 1.0:
            raise HistoryUnavailable("the outbox is full")

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self._parts.file.begin(
            interaction_id, user_id, interrupted, lost_after_seconds=lost_after_seconds
        )

    def end_marker(self, interaction_id: str) -> None:
        """Remove the start marker of an interaction whose outcome is stored elsewhere; returns before it is removed."""
        if self._parts.file.markers.end(interaction_id) is None:
            self._parts.file.commits.submit(EndMarker(interaction_id))

    async def append(self, interaction: Interaction) -> None:
        await self._parts.file.append(interaction)
        self._parts.relay.wake()

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        await self._parts.file.append_many(interactions)
        self._parts.relay.wake()

    async def search(self, query: HistoryQuery) -> Page:
        return await self._parts.reading.search(query)

    async def recall(self, query: HistoryQuery) -> Page:
        return await self._parts.reading.recall(query)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self._parts.reading.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        return await self._parts.reading.statistics(query)

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        return await self._parts.reading.usage(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        return await self._parts.reading.find(user_id, interaction_id)

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        # Appends of this process notify; other processes and hosts do not, so it polls as well.
        with self._parts.file.appends.subscribe(interaction_id) as appended:
            return await wait_until_found(
                partial(self.find, user_id, interaction_id), seconds=seconds, appended=appended
            )

    async def erase(self, user_id: str, interaction_id: str) -> None:
        with self._parts.state.observing():
            await self._parts.store.erase(user_id, interaction_id)
        await self._parts.file.erase(user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        before_id = first_id_after(until_id)
        async with self._no_delivery():
            waiting = await self._count_undelivered(user_id, before_id)
            with self._parts.state.observing():
                erased = await self._parts.store.erase_all(user_id, until_id)
            await self._parts.file.erase_all(user_id, until_id)
        return erased + waiting

    def records(self, records: ConversationRecords) -> ConversationRecords:
        """Return the store's records of conversations, for requests that must not wait while the store is unavailable."""
        return StoreRecords(records, self._parts.state)

    def backlog(self) -> Backlog:
        """Return the undelivered rows of this process, as of its last commit."""
        return self._parts.backlog()

    def set_aside(self) -> SetAside:
        """Return the rows of this process that are not delivered any more, as of its last commit."""
        return self._parts.set_aside()

    def fill_ratio(self) -> float:
        """Return the used share of its limit of rows or of bytes, whichever is larger; it is full from 1.0 on."""
        backlog = self._parts.backlog()
        return max(backlog.rows / self._max_rows, backlog.size_bytes / self._max_bytes)

    def watch_deliveries(self, on_delivered: Callable[[Sequence[Interaction]], None]) -> None:
        """Call `on_delivered` with each delivered batch from now on; it must return at once and not raise."""
        self._parts.relay.on_delivered = on_delivered

    def lag_seconds(self) -> float:
        """Return the age of the oldest undelivered row of this host; 0.0 when there is none."""
        backlogs = [self._parts.backlog(), *self._parts.housekeeping.others]
        oldest = [
            backlog.oldest_milliseconds
            for backlog in backlogs
            if backlog.oldest_milliseconds is not None
        ]
        if not oldest:
            return 0.0
        return max(0.0, (self._clock.now_milliseconds() - min(oldest)) / 1000)

    def relay_failures(self) -> int:
        """Return the number of unexpected failures after which the relay was restarted."""
        return self._parts.relay.failures

    def degraded(self) -> Sequence[Degraded]:
        """Return whether the store is unavailable, the relay fails unexpectedly, or rows are set aside."""
        watched = (
            ("history store", "does not answer", self._parts.state.away_since_milliseconds),
            ("outbox relay", "fails unexpectedly", self._parts.relay.broken_since_milliseconds),
            ("outbox", "interactions are set aside", self.set_aside().since_milliseconds),
        )
        return [
            Degraded(component=component, reason=reason, since_milliseconds=since_milliseconds)
            for component, reason, since_milliseconds in watched
            if since_milliseconds is not None
        ]

    async def drain(self, *, seconds: float) -> bool:
        """Wait until everything is delivered, at most `seconds`; return whether it is. The rest is durable."""
        return await self._parts.relay.drain(seconds=seconds)

    async def _count_undelivered(self, user_id: str, before_id: str) -> int:
        file = self._parts.file
        return await file.reads.run(
            lambda connections: count_undelivered(connections.to(file.path), user_id, before_id)
        )

    @asynccontextmanager
    async def _no_delivery(self) -> AsyncIterator[None]:
        """Pause the relay, so that no row is counted here and in the store."""
        delivering = self._parts.relay.delivering
        try:
            async with asyncio.timeout(self._read_seconds):
                await delivering.acquire()
        except TimeoutError as exc:
            raise HistoryUnreadable("the store is busy, or away") from exc
        try:
            yield
        finally:
            delivering.release()


@asynccontextmanager
async def open_outbox(
    data_dir: Path,
    *,
    store: DurableStore,
    sink: Sink | None = None,
    before_sink: Callable[[Sink], Sink] | None = None,
    clock: Clock,
    read_seconds: float,
    min_free_disk_bytes: int,
    keep_delivered_seconds: float = KEEP_DELIVERED_SECONDS,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
    reap_seconds: float = REAP_SECONDS,
    housekeeping_seconds: float = HOUSEKEEPING_SECONDS,
    drain_seconds: float = DRAIN_SECONDS,
    retention: Retention = FOR_EVER,
    is_only_host: bool = False,
) -> AsyncIterator[Outbox]:
    """Open this process's outbox under `data_dir`/outbox and start its relay; neither waits for the store.

    Args:
        data_dir: Shared by the processes of this host; created with mode 0700 where it is missing.
        store: The store that is read, and from which is erased.
        sink: The destination of deliveries; None: the store itself.
        before_sink: Wraps the destination, for example to deliver attachments first; None wraps nothing.
        clock: For start markers, retention and pauses.
        read_seconds: Limit of one read.
        min_free_disk_bytes: Free space below which nothing new is admitted.
        keep_delivered_seconds: How long delivered rows stay readable in the outbox.
        max_rows: Number of undelivered rows from which on nothing new is admitted.
        max_bytes: Size of the undelivered rows from which on nothing new is admitted.
        reap_seconds: Interval between searches for start markers that are due.
        housekeeping_seconds: Interval between rounds of housekeeping.
        drain_seconds: How long closing waits for the relay; the rest is durable.
        retention: How long interactions are stored, here and in the store.
        is_only_host: Whether no other host writes to the store: conversations that begin here then continue while it is
            unavailable, unless a queue in front of it has turns that this host does not have.

    Raises:
        ConfigurationError: The folder or the file cannot be created or opened.
    """
    folder = data_dir / OUTBOX_FOLDER
    with translate_open_errors(folder):
        make_private_folder(data_dir)
        make_private_folder(folder)
        path, lock = await asyncio.to_thread(acquire_outbox, folder)
    committers: list[OutboxCommitter] = []

    def committing(connection: apsw.Connection) -> OutboxCommitter:
        committers.append(OutboxCommitter(connection))
        return committers[0]

    async with AsyncExitStack() as stack:
        stack.callback(lock.release)
        file = await stack.enter_async_context(
            open_file(
                path,
                clock=clock,
                read_seconds=read_seconds,
                min_free_disk_bytes=min_free_disk_bytes,
                reap_seconds=reap_seconds,
                migrations=OUTBOX_MIGRATIONS,
                committing=committing,
            )
        )
        await asyncio.wait([file.commits.submit(RetryRefused())])
        state = StoreStatus(clock)
        # An unavailable queue does not mean that the store is unavailable.
        destination = sink or store
        if before_sink is not None:
            destination = before_sink(destination)
        relay = Relay(file, destination, state if sink is None else StoreStatus(clock), clock)
        housekeeping = Housekeeping(
            file, relay, clock, keep_delivered_seconds=keep_delivered_seconds, retention=retention
        )
        parts = Parts(
            file=file,
            reading=MergedReader(
                file,
                HostReader(folder, file.reads),
                store,
                state,
                relay,
                clock,
                read_seconds=read_seconds,
                is_only_host=is_only_host and sink is None,
            ),
            relay=relay,
            housekeeping=housekeeping,
            store=store,
            state=state,
            backlog=lambda: committers[0].backlog,
            set_aside=lambda: committers[0].set_aside,
        )
        outbox = Outbox(
            parts, clock, max_rows=max_rows, max_bytes=max_bytes, read_seconds=read_seconds
        )

        async def run_housekeeping() -> None:
            await housekeeping()
            await repeating(housekeeping, seconds=housekeeping_seconds, clock=clock)()

        # The start does not wait for the first round, which may take over a large file.
        await stack.enter_async_context(running_tasks(relay.run, on_failure=relay.note_failure))
        await stack.enter_async_context(running_tasks(run_housekeeping))
        yield outbox
        await outbox.drain(seconds=drain_seconds)

"""The embedded history store: one SQLite file, written by this process alone."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import apsw

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.clock import Clock
from infra.configuration import ConfigurationError
from infra.history.format.documents import json_of
from infra.history.sqlite import conversations as sqlite_conversations
from infra.history.sqlite import pages as sqlite_pages
from infra.history.sqlite import statistics as sqlite_statistics
from infra.history.sqlite import usage as sqlite_usage
from infra.history.sqlite.admission import LOOK_SECONDS, Admission
from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.conversation_records import SqliteConversationRecords
from infra.history.sqlite.expiry import Expire, expire_all
from infra.history.sqlite.in_flight_markers import InFlightMarkers
from infra.history.sqlite.read_pool import ReadPool
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.search import query as sqlite_words
from infra.history.sqlite.search import renewal as sqlite_renewal
from infra.history.sqlite.search.index import is_indexed_as_it_is
from infra.history.sqlite.search.purge import Purging
from infra.history.sqlite.tombstones import erased_among
from infra.history.sqlite.write_jobs import (
    Append,
    AppendCanonically,
    EraseOne,
    EraseUser,
    FinishErasures,
    Reap,
    SqlJob,
)
from infra.history.store.durable_store import DurableStore
from infra.history.store.retention import FOR_EVER, Retention
from infra.history.store.visibility import wait_until_found
from infra.storage.private_files import make_private_folder
from infra.storage.sqlite.file_lock import FileLock
from infra.storage.sqlite.group_commit import GroupCommit
from infra.storage.sqlite.migrations import Step
from infra.tasks.notifier import Notifier
from infra.tasks.supervised import repeating, running_tasks

HISTORY_FILE = "history.db"
REAP_SECONDS = 5.0
EXPIRE_SECONDS = 60.0
PURGE_SECONDS = 3600.0
PURGE_PAUSE_SECONDS = 0.02
RENEW_PAUSE_SECONDS = 0.02
RENEW_RETRY_SECONDS = 1.0


class SqliteHistory(DurableStore):
    """Stores history in one SQLite file with one writer thread; `append` returns after the group commit it is part of.

    Attributes:
        path: The file.
        commits: Writes jobs to the file.
        reads: Runs reads of the file.
        markers: The requests in flight.
        records: The records of conversations.
        appends: Notifies readers that wait for an append.
    """

    def __init__(
        self,
        path: Path,
        commits: GroupCommit[SqlJob],
        reads: ReadPool,
        admission: Admission,
        clock: Clock,
        *,
        has_word_index: bool,
    ) -> None:
        self.path = path
        self._has_word_index = has_word_index
        self.commits = commits
        self.reads = reads
        self.markers = InFlightMarkers(commits.submit)
        self.appends = Notifier[str]()
        self.records = SqliteConversationRecords(commits, reads, path)
        self._admission = admission
        self._clock = clock

    def admit(self) -> None:
        self._admission.check()

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self.markers.begin(interaction_id, user_id, interrupted, lost_after_seconds)

    async def append(self, interaction: Interaction) -> None:
        marker = self.markers.end(interaction.id)
        try:
            await self.commits.submit(self._appending((_body_of(interaction),)))
        except HistoryUnavailable:
            if marker is not None:
                self.markers.reopen(marker)
            raise
        self.appends.notify((interaction.id,))

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        if interactions:
            await self.commits.submit(self._appending(tuple(map(_body_of, interactions))))
            self.appends.notify(interaction.id for interaction in interactions)

    async def search(self, query: HistoryQuery) -> Page:
        search = sqlite_words.search if query.filter.words else sqlite_pages.search
        return await self.reads.run(lambda connections: search(connections.to(self.path), query))

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self.reads.run(
            lambda connections: sqlite_conversations.conversations(connections.to(self.path), query)
        )

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        return await self.reads.run(
            lambda connections: sqlite_statistics.statistics(connections.to(self.path), query)
        )

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        return await self.reads.run(
            lambda connections: sqlite_usage.usage(connections.to(self.path), query)
        )

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        return await self.reads.run(
            lambda connections: sqlite_pages.find(
                connections.to(self.path), user_id, interaction_id
            )
        )

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        with self.appends.subscribe(interaction_id) as appended:
            return await wait_until_found(
                partial(self.find, user_id, interaction_id),
                seconds=seconds,
                appended=appended,
                look_again_seconds=math.inf,  # this process alone writes the file
            )

    async def erase(self, user_id: str, interaction_id: str) -> None:
        self.markers.end(interaction_id, user_id)
        await self._erase(EraseOne(user_id, interaction_id))

    async def erase_all(self, user_id: str, until_id: str) -> int:
        erased = 0
        while True:
            job = EraseUser(user_id, until_id)
            await self._erase(job)
            erased += job.erased
            if job.is_finished:
                return erased

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return await self.reads.run(
            lambda connections: erased_among(connections.to(self.path), user_id, interaction_ids)
        )

    async def reap(self) -> None:
        """Turn start markers that are due into `interrupted` interactions."""
        await asyncio.wait(
            [self.commits.submit(Reap(self._clock.now_milliseconds(), self._has_word_index))]
        )
        self.appends.notify_all()

    async def expire(self, first_kept_id: str) -> None:
        """Remove interactions below an id, some at a time; a failure is left to the next call."""
        with suppress(HistoryUnavailable):
            await expire_all(self.commits, Expire, first_kept_id)
            await self.records.expire(first_kept_id)

    async def finish_erasures(self) -> None:
        """Complete erasures whose process died; raises `HistoryUnavailable`."""
        while True:
            job = FinishErasures()
            await self.commits.submit(job)
            if job.is_finished:
                return

    async def purge_words(self) -> None:
        """Remove the words of erased interactions from the index, a little at a time; does nothing without new erasures."""
        purging = Purging()
        with suppress(HistoryUnavailable):
            while not purging.is_finished:
                await self.commits.submit(purging)
                await self._clock.sleep(PURGE_PAUSE_SECONDS)

    async def renew_words(self) -> None:
        """Index the rows of an older file by canonical words where they need it.

        It continues at the next start if the process ends before. Until it is done, searches look for both forms.
        """
        while True:
            try:
                step = await self.reads.run(
                    lambda connections: sqlite_renewal.next_step(connections.to(self.path))
                )
                if step is None:
                    return
                await self.commits.submit(step)
            except (HistoryUnavailable, HistoryUnreadable):
                await self._clock.sleep(RENEW_RETRY_SECONDS)
            await self._clock.sleep(RENEW_PAUSE_SECONDS)

    def _appending(self, bodies: tuple[str, ...]) -> SqlJob:
        if not self._has_word_index or all(map(is_indexed_as_it_is, bodies)):
            return Append(bodies)
        return AppendCanonically(bodies)

    async def _erase(self, job: SqlJob) -> None:
        try:
            await self.commits.submit(job)
        except HistoryUnavailable as exc:
            raise HistoryUnreadable("the embedded store cannot be written") from exc


@asynccontextmanager
async def open_sqlite(
    data_dir: Path,
    *,
    clock: Clock,
    read_seconds: float,
    min_free_disk_bytes: int,
    reap_seconds: float = REAP_SECONDS,
    committing: Callable[[apsw.Connection], SqliteCommitter] = SqliteCommitter,
    retention: Retention = FOR_EVER,
    expire_seconds: float = EXPIRE_SECONDS,
    purge_seconds: float = PURGE_SECONDS,
) -> AsyncIterator[SqliteHistory]:
    """Open `history.db` under `data_dir`, created where it is missing, for this process alone.

    Args:
        data_dir: Created with mode 0700 where it is missing.
        clock: For start markers, retention and pauses.
        read_seconds: Limit of one read.
        min_free_disk_bytes: Free space below which nothing new is admitted.
        reap_seconds: Interval between searches for start markers that are due.
        committing: Creates the committer of the file's connection.
        retention: How long interactions are stored.
        expire_seconds: Interval between removals of expired interactions.
        purge_seconds: Interval between purges of the word index.

    Raises:
        ConfigurationError: Another process has it, or it cannot be opened.
    """
    path = data_dir / HISTORY_FILE
    with translate_open_errors(path):
        make_private_folder(data_dir)
        lock = FileLock.try_to_acquire(lock_path(path))
    if lock is None:
        raise ConfigurationError(
            f"{path} is in use by another process of this service: stop that one first, or set another DATA_DIR"
        )
    try:
        async with open_file(
            path,
            clock=clock,
            read_seconds=read_seconds,
            min_free_disk_bytes=min_free_disk_bytes,
            reap_seconds=reap_seconds,
            committing=committing,
        ) as history:

            async def expire() -> None:
                await history.expire(retention.first_kept_id(clock.now_milliseconds()))

            async with running_tasks(
                repeating(expire, seconds=expire_seconds, clock=clock),
                repeating(history.purge_words, seconds=purge_seconds, clock=clock),
                history.renew_words,
            ):
                yield history
    finally:
        lock.release()


def lock_path(path: Path) -> Path:
    """Return the file whose lock guards the SQLite file `path`."""
    return path.with_name(path.name + ".lock")


@asynccontextmanager
async def open_file(
    path: Path,
    *,
    clock: Clock,
    read_seconds: float,
    min_free_disk_bytes: int,
    reap_seconds: float = REAP_SECONDS,
    migrations: Sequence[Step] = HISTORY_MIGRATIONS,
    committing: Callable[[apsw.Connection], SqliteCommitter] = SqliteCommitter,
) -> AsyncIterator[SqliteHistory]:
    """Open the SQLite file `path`, whose lock the caller holds; closing it writes all queued jobs.

    `migrations` are the schema of the file, and `committing` creates the committer of its connection.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    with translate_open_errors(path):
        connection = await asyncio.to_thread(open_writer, path, migrations)
    async with AsyncExitStack() as stack:
        commits = GroupCommit[SqlJob](committing(connection), name=f"write {path.name}")
        stack.push_async_callback(commits.close)
        reads = ReadPool(seconds=read_seconds)
        stack.push_async_callback(reads.close)
        admission = Admission(commits, path.parent, min_free_disk_bytes=min_free_disk_bytes)
        history = SqliteHistory(
            path,
            commits,
            reads,
            admission,
            clock,
            has_word_index=migrations is HISTORY_MIGRATIONS,
        )
        stack.callback(history.markers.close)
        await history.reap()
        await admission.look()
        await stack.enter_async_context(
            running_tasks(
                repeating(admission.look, seconds=LOOK_SECONDS, clock=clock),
                repeating(history.reap, seconds=reap_seconds, clock=clock),
                history.finish_erasures,
            )
        )
        yield history


def _body_of(interaction: Interaction) -> str:
    return json_of(interaction).decode()


@contextmanager
def translate_open_errors(path: Path) -> Iterator[None]:
    """Raise errors of opening a file as `ConfigurationError`, with one line for the operator."""
    try:
        yield
    except (OSError, apsw.Error) as exc:
        raise ConfigurationError(f"{path} cannot be opened: {exc}") from exc

"""Event logs in a SQLite file that the processes of one host share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import apsw

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver
from domain.entities.interaction import first_id_after
from domain.exceptions import (
    AnswerExists,
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
    LeaseLost,
)
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from infra.answers.chunks import Chunk, Stored, add
from infra.answers.format import json_of_answer
from infra.answers.recent import RecentChunks
from infra.answers.requests import RequestCache
from infra.answers.sqlite import reads
from infra.answers.sqlite.committer import AnswerCommitter
from infra.answers.sqlite.jobs import (
    Append,
    Begin,
    Erase,
    EraseSome,
    GiveUp,
    Purge,
    Renew,
    Stop,
    TakeOver,
)
from infra.history.sqlite.read_pool import ReadConnections, ReadPool
from infra.storage.sqlite.group_commit import GroupCommit
from infra.storage.sqlite.shared_file import FileJob
from infra.tasks.notifier import Notifier

T = TypeVar("T")

ANSWERS_FILE = "answers.db"
WAIT_SECONDS = 4.0
PURGE_PAUSE_SECONDS = 0.05
"""Pause between two jobs that remove expired logs, in which all processes of the host add to the file."""


class SqliteAnswerLog(AnswerLog):
    """One file with one writer thread in each process, both created on first use.

    A log is one row with its lease, and one row for each append; an append changes the first only if the epoch is its
    own, and adds the second in the same transaction.
    """

    write_pause_seconds = 0.0
    poll_seconds = 0.05

    def __init__(
        self, path: Path, clock: Clock, *, keep_seconds: float, read_seconds: float
    ) -> None:
        """Use a file, which need not exist yet.

        Args:
            path: The file.
            clock: For leases.
            keep_seconds: How long a log stays after its end.
            read_seconds: Time limit of a read.
        """
        self._path = path
        self._clock = clock
        self._keep_milliseconds = round(keep_seconds * 1000)
        self._reads = ReadPool(seconds=read_seconds)
        self._requests = RequestCache()
        self._recent = RecentChunks()
        self._additions = Notifier[AnswerKey]()
        self._commits: GroupCommit[FileJob] | None = None
        self._is_closed = False

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        job = Begin(
            key=answer.key,
            body=json_of_answer(answer),
            now_milliseconds=self._clock.now_milliseconds(),
            lease_until_milliseconds=self._lease_until(lease_seconds),
        )
        await self._do(job)
        if not job.is_created:
            raise AnswerExists
        return AnswerLease(key=answer.key, epoch=1)

    async def append(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await add(lease, records, self._put)

    async def end(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await add(lease, records, self._put, is_end=True)

    async def renew(
        self, leases: Sequence[AnswerLease], *, lease_seconds: float
    ) -> Sequence[LeaseState]:
        job = Renew(leases, self._lease_until(lease_seconds))
        await self._do(job)
        return job.states or [LeaseState.LOST] * len(leases)

    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        found = await self._find(lambda connection: reads.states(connection, leases))
        return found or [LeaseState.LOST] * len(leases)

    async def give_up(self, lease: AnswerLease) -> None:
        await self._do(GiveUp(lease, self._clock.now_milliseconds()))

    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        now_milliseconds = self._clock.now_milliseconds()
        found = await self._find(
            lambda connection: reads.abandoned(connection, now_milliseconds, limit)
        )
        return found or ()

    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        job = TakeOver(key, self._clock.now_milliseconds(), self._lease_until(lease_seconds))
        await self._do(job)
        taken = job.taken
        if taken is None:
            return None
        # After the lease is taken, since no other process adds to the log from then on.
        try:
            found = await self._find(lambda connection: reads.whole(connection, key))
        except BaseException:
            with suppress(HistoryError):
                await self.give_up(taken.lease)
            raise
        if found is None:
            return None
        answer, records = found
        return TakenOver(
            answer=answer,
            lease=taken.lease,
            records=records,
            is_stopped=taken.is_stopped,
            last_written_milliseconds=taken.last_written_milliseconds,
        )

    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        answer = self._requests.get(key)
        if answer is not None:
            page = self._recent.page(answer, after=after, limit=limit)
            if page is not None:
                return page
        kept_after = self._kept_after()
        return await self._read(
            lambda connection: reads.page(
                connection,
                key,
                self._requests,
                after=after,
                limit=limit,
                kept_after_milliseconds=kept_after,
            )
        )

    @contextmanager
    def subscribe(self, key: AnswerKey) -> Iterator[asyncio.Event]:
        with self._recent.watch(key), self._additions.subscribe(key) as added:
            yield added

    async def stop(self, key: AnswerKey) -> bool:
        job = Stop(key)
        try:
            await self._do(job)
        except HistoryUnavailable as exc:
            raise HistoryUnreadable("answers.db cannot be written") from exc
        return job.is_done

    async def erase(self, key: AnswerKey) -> None:
        await self._do(Erase(key))
        self._requests.drop(key)
        self._recent.drop(key)
        self._additions.notify((key,))

    async def erase_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        while True:
            job = EraseSome(user_id, before_id)
            await self._do(job)
            if job.is_finished:
                return

    async def purge(self) -> None:
        until_milliseconds = self._kept_after()
        while True:
            job = Purge(until_milliseconds)
            await self._do(job)
            if job.is_finished:
                return
            await self._clock.sleep(PURGE_PAUSE_SECONDS)

    async def close(self) -> None:
        """Finish pending jobs and close the file; later calls are refused."""
        self._is_closed = True
        if self._commits is not None:
            await self._commits.close()
        await self._reads.close()

    async def _put(self, chunk: Chunk) -> Stored:
        job = Append(chunk, self._clock.now_milliseconds())
        await self._do(job)
        if job.stored is None:
            raise LeaseLost
        if job.stored.count == chunk.count:  # else it is an earlier try with fewer records
            self._recent.keep(chunk)
        self._additions.notify((chunk.key,))
        return job.stored

    async def _do(self, job: FileJob) -> None:
        if self._is_closed:
            raise HistoryUnavailable("answers.db is closed")
        if self._commits is None:
            self._commits = GroupCommit(
                AnswerCommitter(self._path), name=f"write {self._path.name}"
            )
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._commits.submit(job)
        except TimeoutError as exc:
            raise HistoryUnavailable("answers.db is not written in time") from exc

    async def _find(self, read: Callable[[apsw.Connection], T]) -> T | None:
        """Read as `_read`; raises `HistoryUnavailable`, or `HistoryDamaged`."""
        try:
            return await self._read(read)
        except HistoryDamaged:
            raise
        except HistoryUnreadable as exc:
            raise HistoryUnavailable("answers.db cannot be read") from exc

    async def _read(self, read: Callable[[apsw.Connection], T]) -> T | None:
        """Return what `read` reads from the file; None without a file."""
        if self._is_closed:
            raise HistoryUnreadable("answers.db is closed")

        def read_if_there(connections: ReadConnections) -> T | None:
            try:
                connection = connections.to(self._path)
            except apsw.CantOpenError:
                if self._path.exists():
                    raise
                return None
            return read(connection) if reads.has_tables(connection) else None

        return await self._reads.run(read_if_there)

    def _kept_after(self) -> int:
        return self._clock.now_milliseconds() - self._keep_milliseconds

    def _lease_until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)


@asynccontextmanager
async def open_sqlite_answers(
    data_dir: Path, clock: Clock, *, keep_seconds: float, read_seconds: float
) -> AsyncIterator[SqliteAnswerLog]:
    """Keep logs in `answers.db` under `data_dir`; it need not be writable yet."""
    log = SqliteAnswerLog(
        data_dir / ANSWERS_FILE, clock, keep_seconds=keep_seconds, read_seconds=read_seconds
    )
    try:
        yield log
    finally:
        await log.close()

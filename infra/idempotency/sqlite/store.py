"""Idempotency records in a SQLite file that the processes of one host share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryUnavailable, IdempotencyUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.idempotency import IdempotencyStore
from infra.idempotency.sqlite.jobs import (
    Forget,
    ForgetUntil,
    Make,
    Release,
    Replace,
)
from infra.idempotency.sqlite.records import SqliteIdempotencyRecords
from infra.storage.sqlite.group_commit import GroupCommit
from infra.storage.sqlite.shared_file import FileJob

IDEMPOTENCY_FILE = "idempotency.db"
WAIT_SECONDS = 4.0


class SqliteIdempotency(IdempotencyStore):
    """One file with one writer thread, both created on first use."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._commits: GroupCommit[FileJob] | None = None
        self._is_closed = False

    async def claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        job = Make(key, claim, now_milliseconds)
        await self._do(job)
        return job.found

    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        job = Replace(key, seen, claim)
        await self._do(job)
        return job.is_done

    async def release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        await self._do(Release(key, claim))

    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        await self._do(Forget(user_id, interaction_id))

    async def forget_user(self, user_id: str, until_id: str) -> None:
        await self._do(ForgetUntil(user_id, first_id_after(until_id)))

    async def close(self) -> None:
        """Finish pending jobs and close the file; later calls are refused."""
        self._is_closed = True
        if self._commits is not None:
            await self._commits.close()

    def _started(self) -> GroupCommit[FileJob]:
        if self._commits is None:
            self._commits = GroupCommit(
                SqliteIdempotencyRecords(self._path, self._clock), name=f"write {self._path.name}"
            )
        return self._commits

    async def _do(self, job: FileJob) -> None:
        if self._is_closed:
            raise IdempotencyUnavailable("idempotency.db is closed")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._started().submit(job)
        except (IdempotencyUnavailable, HistoryUnavailable, TimeoutError) as exc:
            raise IdempotencyUnavailable("idempotency.db cannot be used") from exc


@asynccontextmanager
async def open_sqlite_idempotency(data_dir: Path, clock: Clock) -> AsyncIterator[SqliteIdempotency]:
    """Keep records in `idempotency.db` under `data_dir`; it need not be writable yet."""
    store = SqliteIdempotency(data_dir / IDEMPOTENCY_FILE, clock)
    try:
        yield store
    finally:
        await store.close()

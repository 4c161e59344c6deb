"""Takes over the outboxes of dead processes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import orjson

from domain.exceptions import HistoryUnavailable
from infra.configuration import ConfigurationError
from infra.history.sqlite.outbox.complete_conversations import NoteRowsLost, may_lose_rows
from infra.history.sqlite.outbox.outbox_file import lock_if_abandoned, remove
from infra.history.sqlite.outbox.schema import OUTBOX_MIGRATIONS
from infra.history.sqlite.schema import open_writer
from infra.history.sqlite.tombstones import KeepTombstones, all_tombstones
from infra.history.sqlite.write_jobs import Append, KeepInFlightMarkers, SqlJob
from infra.storage.sqlite.file_lock import FileLock
from infra.storage.sqlite.group_commit import GroupCommit

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 200

_UNDELIVERED = """
SELECT max(seq), CAST(json_group_array(body ORDER BY seq) AS BLOB) FROM (
    SELECT i.seq, i.body FROM interaction AS i
    WHERE i.seq > ? AND (
        EXISTS (SELECT 1 FROM undelivered WHERE undelivered.seq = i.seq)
        OR EXISTS (SELECT 1 FROM refused WHERE refused.seq = i.seq)
    )
    ORDER BY i.seq LIMIT ?
)
"""
_MARKERS = """
SELECT max(rowid), CAST(group_concat(marker, ',') AS BLOB) FROM (
    SELECT rowid, json_object('dueMs', due_ms, 'of', json(body)) AS marker FROM started
    WHERE rowid > ? ORDER BY rowid LIMIT ?
)
"""


async def adopt_all(
    folder: Path, own: Path, commits: GroupCommit[SqlJob], *, now_milliseconds: int
) -> None:
    """Copy everything from outboxes without a process into this process's own, durably, then remove their files.

    After a crash in between some rows are copied twice, which changes nothing. A file that fails is left for the next
    call.
    """
    for path in await asyncio.to_thread(lambda: sorted(folder.glob("*.db"))):
        if path == own:
            continue
        lock = await _lock(path)
        if lock is not None:
            await _adopt(path, lock, commits, now_milliseconds)


async def _lock(path: Path) -> FileLock | None:
    """Lock an outbox if it is abandoned; a cancellation meanwhile leaves no lock behind."""
    locking = asyncio.create_task(asyncio.to_thread(lock_if_abandoned, path))
    try:
        return await asyncio.shield(locking)
    except asyncio.CancelledError:
        await asyncio.wait([locking])
        if (lock := locking.result()) is not None:
            lock.release()
        raise


async def _adopt(
    path: Path, lock: FileLock, commits: GroupCommit[SqlJob], now_milliseconds: int
) -> None:
    try:
        with closing(await asyncio.to_thread(open_writer, path, OUTBOX_MIGRATIONS)) as orphan:
            await commits.submit(KeepTombstones(await asyncio.to_thread(all_tombstones, orphan)))
            moved = await _move(orphan, _UNDELIVERED, _appended, commits)
            await _move(orphan, _MARKERS, KeepInFlightMarkers, commits)
            if await asyncio.to_thread(may_lose_rows, orphan):
                await commits.submit(NoteRowsLost(now_milliseconds))
        await asyncio.to_thread(remove, path, lock)
    except (apsw.Error, OSError, ConfigurationError, HistoryUnavailable):
        logger.exception("the outbox of a dead process could not be taken over: %s", path)
        lock.release()
    except BaseException:
        lock.release()
        raise
    else:
        logger.info("took over %s with %d undelivered batches", path, moved)


async def _move(
    orphan: apsw.Connection,
    sql: str,
    make_job: Callable[[bytes], SqlJob],
    commits: GroupCommit[SqlJob],
) -> int:
    """Copy the rows that `sql` selects, 200 at a time; return the number of batches."""
    last, count = 0, 0
    while True:
        found = await asyncio.to_thread(_first, orphan, sql, (last, _ROWS_AT_ONCE))
        if found[0] is None:
            return count
        last = found[0]
        count += 1
        await commits.submit(make_job(found[1]))


def _appended(bodies: bytes) -> Append:
    return Append(tuple(orjson.loads(bodies)))


def _first(connection: apsw.Connection, sql: str, values: Sequence[int]) -> tuple[int, bytes]:
    row: tuple[int, bytes] = next(connection.execute(sql, values))
    return row

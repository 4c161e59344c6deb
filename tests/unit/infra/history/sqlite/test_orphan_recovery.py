"""Taking over an outbox can be cancelled at any moment."""

import asyncio
import threading
from pathlib import Path

import pytest

from infra.clock import SystemClock
from infra.history.sqlite.outbox import orphan_recovery
from infra.history.sqlite.outbox.orphan_recovery import adopt_all
from infra.history.sqlite.outbox.schema import OUTBOX_MIGRATIONS
from infra.history.sqlite.schema import open_writer
from infra.history.sqlite.store import lock_path, open_file
from infra.storage.sqlite.file_lock import FileLock


async def test_a_cancellation_while_the_lock_is_taken_releases_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = tmp_path / "abandoned.db"
    open_writer(abandoned, OUTBOX_MIGRATIONS).close()
    is_locking, may_lock = threading.Event(), threading.Event()
    lock_if_abandoned = orphan_recovery.lock_if_abandoned

    def lock_slowly(path: Path) -> FileLock | None:
        is_locking.set()
        may_lock.wait(120)
        return lock_if_abandoned(path)

    monkeypatch.setattr(orphan_recovery, "lock_if_abandoned", lock_slowly)
    async with open_file(
        tmp_path / "own.db",
        clock=SystemClock(),
        read_seconds=10.0,
        min_free_disk_bytes=0,
        migrations=OUTBOX_MIGRATIONS,
    ) as own:
        adopting = asyncio.create_task(
            adopt_all(tmp_path, own.path, own.commits, now_milliseconds=0)
        )
        await asyncio.to_thread(is_locking.wait, 20)
        adopting.cancel()
        may_lock.set()
        with pytest.raises(asyncio.CancelledError):
            await adopting

    lock = FileLock.try_to_acquire(lock_path(abandoned))
    assert lock is not None
    lock.release()
    lock.release()

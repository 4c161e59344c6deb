"""A backup is whole, whatever goes on meanwhile."""

import asyncio
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from infra.clock import SystemClock
from infra.history.sqlite.store import HISTORY_FILE, SqliteHistory, open_sqlite
from infra.history.transfer.backup import BackupFailed, back_up
from tests.contracts.history_walks import asking, walk
from tests.fakes.interactions import an_id, an_interaction


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    async with open_sqlite(
        tmp_path / "data", clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        yield history


async def test_a_copy_made_under_load_holds_a_whole_moment(
    history: SqliteHistory, tmp_path: Path
) -> None:
    kept = [an_interaction(number, text="x" * 20_000) for number in range(300)]
    await history.append_many(kept)
    seen: list[tuple[int, int]] = []
    has_begun, has_written, written_meanwhile = asyncio.Event(), threading.Event(), 0
    loop = asyncio.get_running_loop()

    def progress(done: int, pages: int) -> None:
        seen.append((done, pages))
        loop.call_soon_threadsafe(has_begun.set)
        assert has_written.wait(120)

    target = tmp_path / "copy.db"
    copying = asyncio.create_task(
        asyncio.to_thread(back_up, history.path, target, progress=progress)
    )
    await has_begun.wait()
    while not copying.done():
        await history.append(an_interaction(1000 + written_meanwhile, text="x" * 20_000))
        written_meanwhile += 1
        has_written.set()
    size_bytes = await copying

    assert size_bytes == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["copy.db"]
    assert seen[-1][0] == seen[-1][1] > 1024
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}), "it never began anew"
    assert written_meanwhile > 0

    (tmp_path / "restored").mkdir()
    target.rename(tmp_path / "restored" / HISTORY_FILE)
    async with open_sqlite(
        tmp_path / "restored", clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as restored:
        found = await walk(restored, asking(to_id=an_id(999)))
        assert found == kept[::-1]
        await restored.append(an_interaction(5000))


async def test_a_store_at_rest_can_be_copied(tmp_path: Path) -> None:
    async with open_sqlite(
        tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        await history.append(an_interaction(1))
    back_up(tmp_path / HISTORY_FILE, tmp_path / "copy.db")

    connection = apsw.Connection(str(tmp_path / "copy.db"))
    assert connection.execute("SELECT id FROM interaction").get == an_id(1)
    connection.close()


async def test_an_existing_file_is_kept_unless_told(history: SqliteHistory, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(history.path, target)
    assert target.read_text() == "precious"

    back_up(history.path, target, overwrite=True)
    assert target.read_bytes().startswith(b"SQLite format 3")


async def test_a_file_that_appears_meanwhile_is_kept(
    history: SqliteHistory, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(history.path, target, progress=lambda _done, _all: target.write_text("precious"))

    assert target.read_text() == "precious"
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [target]


def test_nothing_to_copy_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="does not exist"):
        back_up(tmp_path / "history.db", tmp_path / "copy.db")


async def test_nowhere_to_write_is_said(history: SqliteHistory, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="could not be copied"):
        back_up(history.path, tmp_path / "nowhere" / "copy.db")


async def test_a_damaged_store_gives_no_copy(tmp_path: Path) -> None:
    async with open_sqlite(
        tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        await history.append_many([an_interaction(number) for number in range(2000)])
    path = tmp_path / HISTORY_FILE
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 64] = b"\xa5" * 64
    path.write_bytes(content)

    with pytest.raises(BackupFailed):
        back_up(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob("*.partial*"))

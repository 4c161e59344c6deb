"""A write-ahead log cut anywhere loses nothing that was synced before the cut."""

import shutil
from pathlib import Path

import apsw
import pytest

from infra.clock import SystemClock
from infra.history.sqlite.store import HISTORY_FILE, open_sqlite
from tests.fakes.interactions import an_id, an_interaction

SECTOR_BYTES = 512
LOG_FILE = HISTORY_FILE + "-wal"


@pytest.mark.parametrize(
    "span_bytes", [8 * 1024, pytest.param(64 * 1024, marks=pytest.mark.faults)]
)
async def test_what_was_synced_before_the_cut_is_there(tmp_path: Path, span_bytes: int) -> None:
    live, torn = tmp_path / "live", tmp_path / "torn"
    log_bytes_after: list[int] = []
    async with open_sqlite(
        live, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        for number in range(60):
            await history.append(an_interaction(number, text=f"answer {number} " * 100))
            log_bytes_after.append((live / LOG_FILE).stat().st_size)
        torn.mkdir()
        for name in (HISTORY_FILE, LOG_FILE):
            shutil.copy(live / name, torn / f"whole {name}")
    whole_bytes = (torn / f"whole {LOG_FILE}").stat().st_size
    assert whole_bytes > span_bytes

    for cut in range(whole_bytes - span_bytes, whole_bytes + 1, SECTOR_BYTES):
        shutil.copy(torn / f"whole {HISTORY_FILE}", torn / HISTORY_FILE)
        log = (torn / f"whole {LOG_FILE}").read_bytes()
        (torn / LOG_FILE).write_bytes(log[:cut])
        connection = apsw.Connection(str(torn / HISTORY_FILE))
        assert connection.pragma("integrity_check") == "ok"
        kept = {row[0] for row in connection.execute("SELECT id FROM interaction")}
        connection.close()
        synced = {an_id(number) for number, size in enumerate(log_bytes_after) if size <= cut}
        assert synced <= kept

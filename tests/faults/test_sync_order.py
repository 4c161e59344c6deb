"""Nothing is acknowledged before the disk was told to keep it: neither a kill nor a test that reads can see that."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.interactions import an_id

ROOT = Path(__file__).parents[2]
COUNT = 200
PATIENCE_SECONDS = 120.0

_ACKNOWLEDGED = re.compile(r'write\(1<[^>]*>, "(\d+)\\n"')
_WRITTEN = re.compile(r"pwrite64\(\d+<[^>]*-wal>")
_SYNCED = re.compile(r"fdatasync\(\d+<[^>]*-wal>\)\s+= 0|<\.\.\. fdatasync resumed>\)\s+= 0")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7000-8000-[0-9a-f]{12}")


def traced(folder: Path) -> list[str]:
    """Return the system calls of a process that accepts 200 interactions while nothing is delivered."""
    trace = folder / "trace"
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [
                *("strace", "-f", "-y", "-s", "8192", "-o", str(trace)),
                *("-e", "trace=pwrite64,fdatasync,write"),
                *(sys.executable, "-m", "tests.faults.outbox_process"),
                *(str(folder / "host"), str(folder / "store"), "--stalled", "--ends"),
                *("--first", "0", "--count", str(COUNT)),
            ],
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the traced one too
            process.communicate()
            raise
    if process.returncode != 0 and not (folder / "said").read_bytes():
        pytest.skip(f"strace may not trace here: {errors[-200:]!r}")
    return trace.read_text(errors="replace").splitlines()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_every_acknowledgement_follows_the_sync_of_its_row(tmp_path: Path) -> None:
    written: set[str] = set()
    synced: set[str] = set()
    acknowledged = 0
    for line in traced(tmp_path):
        if "/store/" in line:
            continue
        if _WRITTEN.search(line):
            written.update(_ID.findall(line))
        elif _SYNCED.search(line):
            synced |= written
        elif said := _ACKNOWLEDGED.search(line):
            acknowledged += 1
            assert an_id(int(said[1])) in synced, f"{said[1]} was acknowledged too early"

    assert acknowledged == COUNT

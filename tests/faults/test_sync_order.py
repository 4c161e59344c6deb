"""No 200 is sent before the disk was told to keep its row: neither a kill nor a test that reads can see that."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.ledger_scenario import RecordProperty, report_figures
from tests.support.service import Service, running_service

COUNT = 200
CLIENTS = 10
STREAMED_OF = 5
NOWHERE = {"MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"}
"""A store that is never there: what a fast and healthy one would hide comes to light."""

_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(.*)")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SYNC, _WRITE, _SENDS = "fdatasync", "pwrite64", {"sendto", "sendmsg", "write", "writev"}


class Order:
    """Which rows were written, and which synced, as a trace goes by."""

    def __init__(self) -> None:
        self.synced: set[str] = set()
        self._written: set[str] = set()
        self._syncing: dict[str, set[str]] = {}

    def hear(self, thread: str, call: str, rest: str) -> None:
        """Note one system call, or the half of one."""
        if call == _WRITE and "-wal>" in rest:
            self._written.update(_ID.findall(rest))
        elif call == _SYNC and "-wal>" in rest:
            self._syncing[thread] = set(self._written)
        if call == _SYNC and rest.rstrip().endswith("= 0"):
            self.synced |= self._syncing.pop(thread, set())


def calls_in(trace: Path) -> Iterator[tuple[str, str, str]]:
    """Yield thread, name and the rest of every system call."""
    with trace.open(errors="replace") as lines:
        for line in lines:
            if parts := _LINE.match(line):
                yield parts[1], parts[2], parts[3]


def ask(service: Service, number: int) -> str:
    """Ask one question, and return the id of the interaction."""
    body = {
        "userId": f"user-{number % CLIENTS}",
        "userPrompt": "hi",
        "stream": number % STREAMED_OF == 0,
    }
    with service.client() as client:
        response = client.post("/v1/chat", json=body)
    assert response.status_code == 200
    assert not body["stream"] or "event: done" in response.text
    return str(response.headers["X-Interaction-Id"])


@pytest.fixture
def tracer(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """Where the trace goes, and the command that makes it of a command that follows."""
    trace = tmp_path / "trace"
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    # -D: what is traced is our child, and not the tracer
    command = (
        *("strace", "-D", "-f", "-y", "-s", "8192", "-o", str(trace)),
        *("-e", "trace=pwrite64,fdatasync,sendto,sendmsg,write,writev"),
    )
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr[-200:]!r}")
    return trace, command


@pytest.mark.parametrize(
    "settings",
    [pytest.param({}, id="embedded", marks=pytest.mark.faults), pytest.param(NOWHERE, id="outbox")],
)
def test_every_200_follows_the_sync_of_its_row(
    tmp_path: Path,
    tracer: tuple[Path, tuple[str, ...]],
    settings: dict[str, str],
    record_property: RecordProperty,
) -> None:
    trace, command = tracer
    with running_service(tmp_path / "data", settings, python=(*command, sys.executable)) as service:
        with ThreadPoolExecutor(CLIENTS) as clients:
            asked = set(clients.map(lambda number: ask(service, number), range(COUNT)))
        assert service.stop() == 0

    order, early, answered = Order(), [], set()
    for thread, call, rest in calls_in(trace):
        order.hear(thread, call, rest)
        is_answer = call in _SENDS and ("HTTP/1.1 200" in rest or "event: done" in rest)
        if is_answer and "<socket:" in rest and "text/event-stream" not in rest:
            for one in asked.intersection(_ID.findall(rest)):
                answered.add(one)
                if one not in order.synced:
                    early.append(one)
    report_figures(
        f"{len(answered) - len(early)} of {COUNT} answers followed their sync", record_property
    )
    assert answered == asked
    assert early == []

"""What a service's process holds: memory, files and sockets as the kernel counts them, tasks as it tells itself."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.support.service import Service

_TELLING = """
import asyncio, gc, json, os, signal

def tell(*_):
    tasks = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
    os.write(1, json.dumps({"tasks_now": tasks}).encode() + b"\\n")

signal.signal(signal.SIGUSR1, tell)
"""


def telling(folder: Path) -> dict[str, str]:
    """Return the settings with which a service's process tells how many tasks it has, once it is asked to."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_TELLING)
    return {"PYTHONPATH": str(folder)}


def tasks(service: Service) -> int:
    """How many tasks are not done; of a service that was started with `telling`."""
    told_before = sum('"tasks_now"' in line for line in service.log)
    service.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while len(told := [line for line in service.log if '"tasks_now"' in line]) == told_before:
        assert time.monotonic() < deadline, "it tells nothing"
        time.sleep(0.01)
    return int(json.loads(told[-1])["tasks_now"])


def files(service: Service) -> int:
    """How many files and sockets are open."""
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


class Memory:
    """How much the process holds, and how much it held at the most since it was last asked."""

    def __init__(self, service: Service) -> None:
        self._folder = Path(f"/proc/{service.process.pid}")
        if not (self._folder / "clear_refs").exists():
            pytest.skip("the kernel does not tell the peak of a process's memory")

    def now_bytes(self) -> int:
        """Return what is resident, and begin a new peak."""
        (self._folder / "clear_refs").write_text("5")
        return self._bytes("VmRSS")

    def peak_bytes(self) -> int:
        return self._bytes("VmHWM")

    def _bytes(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

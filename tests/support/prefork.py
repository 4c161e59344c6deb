"""Starts services as copies of a process that has imported the program already.

A start takes 0.5 s instead of 3.6 on two busy cores, since nothing is imported again; the suite has hundreds of them. A
forked service runs the same code from `main.py` on, with an environment, a working directory and a process of its own;
it can be stopped and killed like any other. Tests of the start itself run Python anew (`command`, `test_command_line`).

`python -m tests.support.prefork FD` is the process that forks; it ends when the other end of the socket is closed.
"""

import contextlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
IMPORTED = ("main", "dependency_injection", "app.server", "infra.logging.configuration")
_MESSAGE_BYTES = 256 * 1024


class ForkedProcess:
    """A running service; has the parts of `subprocess.Popen` that tests use.

    Attributes:
        returncode: None while it runs; negative: the signal that ended it.
        stdout: What it writes, errors included.
    """

    def __init__(self, pid: int, stdout: IO[bytes], args: Sequence[str]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.args = args
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(pid)
        self._has_ended = threading.Event()

    def end(self, returncode: int) -> None:
        """Record the end of the process."""
        self.returncode = returncode
        self._has_ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        # by descriptor: the number of an ended process may belong to another one
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Prefork:
    """The process that forks services, for one process of tests."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
        }
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.support.prefork", str(theirs.fileno())],
            cwd=ROOT,
            env={**environment, "PYTHONWARNINGS": "error"},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._running: dict[int, ForkedProcess] = {}
        self._lock = threading.Lock()
        self._started: list[int] = []
        self._ended_early: dict[int, int] = {}
        self._has_started = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> ForkedProcess:
        """Return a new process that runs `main.py` with `arguments`."""
        ours, theirs = os.pipe()
        request = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [theirs])
            os.close(theirs)
            with self._has_started:
                if not self._has_started.wait_for(lambda: bool(self._started), timeout=60):
                    raise RuntimeError("the forking process does not answer")
                pid = self._started.pop()
        process = ForkedProcess(pid, os.fdopen(ours, "rb"), ["main.py", *arguments])
        with self._has_started:
            ended = self._ended_early.pop(pid, None)
            self._running[pid] = process
        if ended is not None:
            process.end(ended)
        return process

    def _listen(self) -> None:
        while message := self._socket.recv(_MESSAGE_BYTES):
            event: dict[str, Any] = json.loads(message)
            with self._has_started:
                if "started" in event:
                    self._started.append(event["started"])
                    self._has_started.notify_all()
                    continue
                process = self._running.pop(event["ended"], None)
                if process is None:
                    self._ended_early[event["ended"]] = event["returncode"]
            if process is not None:
                process.end(event["returncode"])


def _serve(fd: int) -> None:
    """Fork a process for each request, and report its end."""
    channel = socket.socket(fileno=fd)
    for name in IMPORTED:
        __import__(name)
    assert threading.active_count() == 1, "a thread would not exist in the copies"
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    selector.register(wakeup, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in selector.select()]
        if wakeup in ready:
            os.read(wakeup, 4096)
            _report_ended(channel)
        if channel in ready:
            message, fds, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES, 1)
            if not message:
                return
            pid = os.fork()
            if not pid:
                _become(json.loads(message), fds[0], channel, selector, (wakeup, woken))
            os.close(fds[0])
            channel.send(json.dumps({"started": pid}).encode())


def _report_ended(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            channel.send(json.dumps({"ended": pid, "returncode": code}).encode())


def _become(
    request: dict[str, Any],
    output: int,
    channel: socket.socket,
    selector: Any,
    pipe: tuple[int, int],
) -> None:
    """Run `main.py` in this copy; does not return."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        selector.close()
        channel.close()
        for descriptor in pipe:
            os.close(descriptor)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = [str(ROOT / "main.py"), *request["arguments"]]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does before it ends
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

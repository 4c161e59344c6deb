"""Starts services and commands as copies of a process that has imported the program already.

A start takes 0.5 s instead of 3.6 on two busy cores, since nothing is imported again; the suite has hundreds of them. A
forked process runs the same code from `main.py` on, with an environment, a working directory and a process of its own;
it can be stopped and killed like any other. Some tests of the start itself run Python anew (`test_command_line`), and
which packages a start loads is in `tests/architecture/test_imports.py`.

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
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
IMPORTED = (
    *("main", "dependency_injection", "app.server", "infra.logging.configuration"),
    *("app.cli.history_commands", "commands.history", "commands.queue", "commands.serving"),
    *("infra.history.mongo.store", "infra.history.dynamodb.store", "infra.history.sqs.consumer"),
)
_MESSAGE_BYTES = 256 * 1024
_FORK_SECONDS = 300.0
"""The first fork waits for all imports, which take half a minute on a machine that is busy."""


class ForkedProcess:
    """A running service; has the parts of `subprocess.Popen` that tests use.

    Attributes:
        returncode: None while it runs; negative: the signal that ended it.
        stdout: What it writes, errors included.
    """

    def __init__(self, pid: int, pidfd: int, stdout: IO[bytes], args: Sequence[str]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.args = args
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._lock = threading.Lock()
        self._has_ended = threading.Event()

    def end(self, returncode: int) -> None:
        """Record the end of the process."""
        with self._lock:
            os.close(self._pidfd)
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
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
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
        self._started: list[tuple[int, int]] = []
        self._ended_early: dict[int, int] = {}
        self._has_started = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> ForkedProcess:
        """Return a new process that runs `main.py` with `arguments`."""
        ours, theirs = os.pipe()
        stdout = os.fdopen(ours, "rb")
        try:
            return self._fork(arguments, cwd, env, (theirs, theirs), stdout)
        finally:
            os.close(theirs)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `main.py` with `arguments` to its end.

        Raises:
            subprocess.TimeoutExpired: It had not ended after `timeout` seconds, and was killed.
        """
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            descriptors = stdout.fileno(), stderr.fileno()
            process = self._fork(arguments, cwd, env, descriptors, stdout)
            try:
                returncode = process.wait(timeout)
            finally:
                process.kill()
            said = []
            for file in (stdout, stderr):
                file.seek(0)
                said.append(file.read().decode())
        return subprocess.CompletedProcess(process.args, returncode, *said)

    def _fork(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        output: tuple[int, int],
        stdout: IO[bytes],
    ) -> ForkedProcess:
        request = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], output)
            with self._has_started:
                if not self._has_started.wait_for(
                    lambda: bool(self._started), timeout=_FORK_SECONDS
                ):
                    raise RuntimeError("the forking process does not answer")
                pid, pidfd = self._started.pop()
        process = ForkedProcess(pid, pidfd, stdout, ["main.py", *arguments])
        with self._has_started:
            ended = self._ended_early.pop(pid, None)
            self._running[pid] = process
        if ended is not None:
            process.end(ended)
        return process

    def _listen(self) -> None:
        while True:
            message, pidfds, _, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, 1)
            if not message:
                return
            event: dict[str, Any] = json.loads(message)
            with self._has_started:
                if "started" in event:
                    self._started.append((event["started"], pidfds[0]))
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
            message, fds, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES, 2)
            if not message:
                return
            pid = os.fork()
            if not pid:
                _become(json.loads(message), fds, channel, selector, (wakeup, woken))
            for descriptor in fds:
                os.close(descriptor)
            pidfd = os.pidfd_open(pid)  # here, where the process cannot have been reaped yet
            socket.send_fds(channel, [json.dumps({"started": pid}).encode()], [pidfd])
            os.close(pidfd)


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
    output: Sequence[int],
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
        for number, descriptor in enumerate(output, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
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

"""Starts several serving processes, restarts those that end, and stops them together."""

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

FIRST_PAUSE_SECONDS = 0.2
"""Pause before a process that ended is started again; doubled each time it ends soon, up to the maximum below."""
LONGEST_PAUSE_SECONDS = 5.0

HURRIED_SECONDS = 15.0
"""Time that processes have to end after a second signal."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SERVING = b"s"
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """One of the serving processes, from its own point of view.

    Attributes:
        number: From 0 on; a process that replaces another has its number.
        is_replacement: Whether it was started because another one ended.
    """

    number: int
    is_replacement: bool
    _supervisor: socket.socket

    def note_serving(self) -> None:
        """Report to the supervisor that this process serves."""
        with suppress(OSError):  # the supervisor has ended, which `stop_without_supervisor` handles
            self._supervisor.send(_SERVING)

    def stop_without_supervisor(self, longest_stop_seconds: float) -> None:
        """Send SIGTERM to this process once its supervisor has ended in any way, and SIGKILL so many seconds later."""
        threading.Thread(
            target=self._wait_for_end, args=(longest_stop_seconds,), daemon=True
        ).start()

    def _wait_for_end(self, longest_stop_seconds: float) -> None:
        with suppress(OSError):
            while self._supervisor.recv(1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(longest_stop_seconds)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(slots=True)
class _Child:
    """A serving process, from the supervisor's point of view.

    Attributes:
        pid: None while it does not run.
        channel: Readable once the process serves; its end at the process becomes readable when the supervisor ends.
        start_at_seconds: When to start it.
        has_served: Whether it, or the process that it replaces, has served.
    """

    number: int
    pid: int | None = None
    channel: socket.socket | None = None
    started_seconds: float = 0.0
    start_at_seconds: float = 0.0
    starts: int = 0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    has_served: bool = False

    def close_channel(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None


@dataclass(slots=True)
class Supervisor:
    """Forks serving processes, which share what was opened before.

    It must run in the main thread of a process without other threads, since forked copies have none of them.

    The first process is started alone, so that an error that concerns all of them is reported once. The others follow
    when it serves. A process that ends is started again after a pause. If it ends with an exit code before it ever
    served, all others are stopped, and that is the exit code of the supervisor: this process would not start the
    next time either.

    SIGTERM and SIGINT are passed on, and end the supervisor when all processes have ended. A second one reaches them
    as SIGINT, which ends their grace period. Processes that have not ended in time are killed.

    Attributes:
        count: Number of processes.
        longest_stop_seconds: Time for a process to end after SIGTERM.
        on_stopping: Called once when the stop begins; closes what only new processes need.
    """

    count: int
    longest_stop_seconds: float
    on_stopping: Callable[[], None] = lambda: None
    _children: list[_Child] = field(init=False)
    _exit_code: int = field(default=0, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _kill_at_seconds: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._children = [_Child(number) for number in range(self.count)]

    def run(self) -> ServingProcess | int:
        """Return in each started process its `ServingProcess`; in the supervisor, after all have ended, the exit code.

        The exit code is 0 if all processes ended in order after a signal.
        """
        with _received_signals() as received:
            while self._is_running():
                if (started := self._start_due(received)) is not None:
                    return started
                self._wait(received)
                for number in received.take():
                    self._pass_on(number)
                self._reap()
                self._kill_overdue()
        _LOGGER.info("stopped")
        return self._exit_code

    def _is_running(self) -> bool:
        return not self._is_stopping or any(child.pid for child in self._children)

    def _to_start(self) -> list[_Child]:
        """Return the processes that have to be started, now or later."""
        if self._is_stopping:
            return []
        candidates = self._children if self._children[0].has_served else self._children[:1]
        return [child for child in candidates if child.pid is None]

    def _start_due(self, received: "_ReceivedSignals") -> ServingProcess | None:
        now = time.monotonic()
        for child in self._to_start():
            if child.start_at_seconds <= now:
                started = self._fork(child, received)
                if started is not None:
                    return started
        return None

    def _fork(self, child: _Child, received: "_ReceivedSignals") -> ServingProcess | None:
        ours, theirs = socket.socketpair()
        is_replacement = child.starts > 0
        # Blocked: a signal that comes between fork and reset would run the supervisor's handler in the copy.
        blocked = {*_SIGNALS, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            pid = os.fork()
            if not pid:
                ours.close()
                for other in self._children:
                    other.close_channel()
                received.reset()
                return ServingProcess(child.number, is_replacement, theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        theirs.close()
        child.pid, child.channel = pid, ours
        child.started_seconds = time.monotonic()
        child.starts += 1
        return None

    def _wait(self, received: "_ReceivedSignals") -> None:
        """Wait until there is something to do."""
        times = [child.start_at_seconds for child in self._to_start()]
        if self._kill_at_seconds is not None:
            times.append(self._kill_at_seconds)
        watched: list[socket.socket | int] = [received.descriptor]
        watched += [child.channel for child in self._children if child.channel is not None]
        timeout_seconds = max(0.0, min(times) - time.monotonic()) if times else None
        ready, _, _ = select.select(watched, (), (), timeout_seconds)
        for child in self._children:
            if child.channel in ready:
                self._read(child)

    def _read(self, child: _Child) -> None:
        assert child.channel is not None
        try:
            is_serving = bool(child.channel.recv(16))
        except OSError:
            is_serving = False
        if not is_serving:
            child.close_channel()  # the process ends
            return
        child.has_served = True
        _LOGGER.info(
            "process %d of %d serves",
            child.number + 1,
            self.count,
            extra={"ecs": {"process": {"pid": child.pid}}},
        )

    def _pass_on(self, number: int) -> None:
        if not self._is_stopping:
            self._stop(number)
            return
        if self._kill_at_seconds is not None:
            hurried_seconds = time.monotonic() + HURRIED_SECONDS
            self._kill_at_seconds = min(self._kill_at_seconds, hurried_seconds)
        self._signal_all(signal.SIGINT)

    def _stop(self, number: int) -> None:
        _LOGGER.info("stopping")
        self._is_stopping = True
        self._kill_at_seconds = time.monotonic() + self.longest_stop_seconds
        self.on_stopping()
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for child in self._children:
            if child.pid is not None:
                os.kill(child.pid, number)  # not reaped yet, so the number is still its own

    def _reap(self) -> None:
        """Handle the processes that have ended; as the first process of a container, also orphaned processes."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                for child in self._children:
                    if child.pid == pid:
                        self._note_end(child, os.waitstatus_to_exitcode(status))

    def _note_end(self, child: _Child, code: int) -> None:
        pid, child.pid = child.pid, None
        if child.channel is not None:
            with suppress(BlockingIOError, OSError):
                # It may have served and ended since the last look.
                child.has_served |= bool(child.channel.recv(16, socket.MSG_DONTWAIT))
            child.close_channel()
        fields = {"ecs": {"process": {"pid": pid, "exit_code": code}}}
        if self._is_stopping:
            if code not in (0, *(-number for number in _SIGNALS)):
                self._exit_code = self._exit_code or 1
                _LOGGER.error(
                    "process %d ended with %s", child.number + 1, _name_of(code), extra=fields
                )
            return
        if code > 0 and not child.has_served:
            self._exit_code = code
            self._stop(signal.SIGTERM)
            return
        now = time.monotonic()
        if now - child.started_seconds > LONGEST_PAUSE_SECONDS:
            child.pause_seconds = FIRST_PAUSE_SECONDS
        _LOGGER.error(
            "process %d ended with %s; starting it again in %.3g s",
            child.number + 1,
            _name_of(code),
            child.pause_seconds,
            extra=fields,
        )
        child.start_at_seconds = now + child.pause_seconds
        child.pause_seconds = min(2 * child.pause_seconds, LONGEST_PAUSE_SECONDS)

    def _kill_overdue(self) -> None:
        if self._kill_at_seconds is None or time.monotonic() < self._kill_at_seconds:
            return
        self._kill_at_seconds = None
        left = sum(child.pid is not None for child in self._children)
        if left:
            _LOGGER.error("processes that did not end in time and are killed: %d", left)
            self._signal_all(signal.SIGKILL)


class _ReceivedSignals:
    """Collects the signals that this process receives.

    Attributes:
        descriptor: Readable when there are some.
    """

    def __init__(self) -> None:
        self.descriptor, self._written = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._written, False)
        self._is_open = True
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # a handler of Python: only then it is written
        signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)

    def take(self) -> list[int]:
        """Return the signals that ask this process to stop, and forget all."""
        try:
            return [number for number in os.read(self.descriptor, 4096) if number in _SIGNALS]
        except BlockingIOError:
            return []

    def reset(self) -> None:
        """Return to the default actions; a second call changes nothing."""
        if self._is_open:
            self._is_open = False
            signal.set_wakeup_fd(-1)
            for number in (*_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.close(self.descriptor)
            os.close(self._written)


@contextmanager
def _received_signals() -> Iterator[_ReceivedSignals]:
    received = _ReceivedSignals()
    try:
        yield received
    finally:
        received.reset()


def _name_of(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

"""Timeouts of many waits with one timer of the event loop.

`asyncio.timeout` would be simpler. It costs a call of a provider 21 µs more CPU with one event and 50 µs more with eight
(`python -m bench.resilience`, rescheduled for each wait, uvloop), which is 5 to 12 % of a chat.
"""

import asyncio
from asyncio import current_task
from math import inf

from domain.interfaces.clock import Clock

_MIN_TIMER_SECONDS = 0.001  # the resolution of event loops


class SharedTimer:
    """Expires the timeouts of all calls that have the same limits.

    The timer is not moved with every wait: it fires, expires the timeouts that are due, and is set for the next one.

    Attributes:
        fires_at_seconds: When it fires next; infinite while nothing is due.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timeouts: set[Timeout] = set()
        self.fires_at_seconds = inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def limit(self, at_seconds: float, now_seconds: float) -> "Timeout":
        """Return a context manager that raises `TimeoutError` if its block still waits at `at_seconds`.

        Raises:
            TimeoutError: That is now or in the past.
        """
        timeout = Timeout(self)
        timeout.start(at_seconds, now_seconds)
        return timeout

    def add(self, timeout: "Timeout") -> asyncio.AbstractEventLoop:
        """Expire `timeout` when it is due; return the running loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._handle, self.fires_at_seconds = loop, None, inf
            self._timeouts.clear()
        self._timeouts.add(timeout)
        return loop

    def remove(self, timeout: "Timeout") -> None:
        """Stop expiring `timeout`. The timer stays for the next call; without one it fires once to no effect."""
        self._timeouts.discard(timeout)

    def fire_by(self, at_seconds: float, now_seconds: float) -> None:
        """Let the timer fire at `at_seconds` at the latest."""
        if at_seconds >= self.fires_at_seconds or self._loop is None:
            return
        if self._handle is not None:
            self._handle.cancel()
        seconds = max(at_seconds - now_seconds, _MIN_TIMER_SECONDS)
        self.fires_at_seconds = now_seconds + seconds
        self._handle = self._loop.call_later(seconds, self._fire)

    def _fire(self) -> None:
        self._handle, self.fires_at_seconds = None, inf
        now_seconds = self._clock.monotonic()
        next_at_seconds = inf
        for timeout in tuple(self._timeouts):
            if timeout.task is None or timeout.expired:
                continue
            if timeout.at_seconds <= now_seconds:
                timeout.expired = True
                timeout.task.cancel()
            else:
                next_at_seconds = min(next_at_seconds, timeout.at_seconds)
        if next_at_seconds < inf:
            self.fire_by(next_at_seconds, now_seconds)


class Timeout:
    """Ends a wait that lasts too long by cancelling the waiting task.

    Between waits it cancels no task, so a generator may be suspended there and resumed by another task:

        timeout.start(at_seconds, now_seconds)
        try:
            event = await anext(events)
        except BaseException as exc:
            timeout.end_after(exc)
            raise
        timeout.end()

    A block with a single wait is shorter: `with timer.limit(at_seconds, now_seconds): ...`.

    Attributes:
        task: The waiting task; None between waits.
        at_seconds: When the wait expires.
        expired: The task was cancelled, and `end` or `end_after` has not undone that yet.
    """

    __slots__ = ("_cancelling", "_loop", "_timer", "at_seconds", "expired", "task")

    def __init__(self, timer: SharedTimer) -> None:
        self.task: asyncio.Task[object] | None = None
        self.at_seconds = inf
        self.expired = False
        self._cancelling = 0  # pending cancellations of the task when its wait began
        self._timer = timer
        self._loop = timer.add(self)

    def start(self, at_seconds: float, now_seconds: float) -> None:
        """Cancel the current task if it still waits at `at_seconds`.

        Raises:
            TimeoutError: That is now or in the past.
        """
        if at_seconds <= now_seconds:
            raise TimeoutError
        task = current_task(self._loop)
        if task is None:
            raise RuntimeError("a wait needs a task")
        self.task = task
        self._cancelling = task.cancelling()
        self.at_seconds = at_seconds
        timer = self._timer
        if at_seconds < timer.fires_at_seconds:  # rarely: a call for each event would cost more
            timer.fire_by(at_seconds, now_seconds)

    def end(self) -> None:
        """End a wait that succeeded, even if it expired at the same moment."""
        if self.expired:
            self._uncancel()
        self.task = None

    def end_after(self, exc: BaseException) -> None:
        """End a wait that failed; without a wait it does nothing.

        Raises:
            TimeoutError: The wait expired. A cancellation from outside takes precedence.
        """
        is_ours_alone = self.expired and self._uncancel() <= self._cancelling
        self.task = None
        if is_ours_alone and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc

    def close(self) -> None:
        """Never expire again."""
        self._timer.remove(self)

    def __enter__(self) -> None:
        """Do nothing: the wait has been started."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            if error is None:
                self.end()
            else:
                self.end_after(error)
        finally:
            self.close()

    def _uncancel(self) -> int:
        self.expired = False
        return self.task.uncancel() if self.task is not None else 0

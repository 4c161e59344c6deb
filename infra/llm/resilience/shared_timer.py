"""A bound on many waits at the price of hardly any timer."""

import asyncio
from math import inf

from domain.interfaces.clock import Clock

_LEAST_TIMER_SECONDS = 0.001  # the finest that event loops tell apart


class AlarmClock:
    """Rings the alarms of all calls that are bounded alike, with one timer of the event loop.

    The timer is not moved with every wait: it goes off, sees whose moment has come, and is set again for the next. A
    timer per call would cost more than all else that bounds it.

    Attributes:
        rings_at_seconds: When the timer goes off next; infinite while there is none.
    """

    def __init__(self, clock: Clock) -> None:
        self.rings_at_seconds = inf
        self._clock = clock
        self._alarms: set[Alarm] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, alarm: "Alarm") -> asyncio.AbstractEventLoop:
        """Ring `alarm` when its moment comes; return the loop that does."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self.rings_at_seconds = loop, None, inf
            self._alarms.clear()
        self._alarms.add(alarm)
        return loop

    def remove(self, alarm: "Alarm") -> None:
        """Ring it no more. The timer stays for the next call; with none it goes off once and rings nobody."""
        self._alarms.discard(alarm)

    def set(self, at_seconds: float, now_seconds: float) -> None:
        """Have the timer go off at that moment, if it would not before."""
        if at_seconds >= self.rings_at_seconds or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        seconds = max(at_seconds - now_seconds, _LEAST_TIMER_SECONDS)
        self.rings_at_seconds = now_seconds + seconds
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer, self.rings_at_seconds = None, inf
        now_seconds = self._clock.monotonic()
        next_at = inf
        for alarm in tuple(self._alarms):
            if alarm.waiter is None or alarm.has_rung:
                continue
            if alarm.at_seconds <= now_seconds:
                alarm.has_rung = True
                alarm.waiter.cancel()
            else:
                next_at = min(next_at, alarm.at_seconds)
        if next_at < inf:
            self.set(next_at, now_seconds)


class Alarm:
    """Ends a wait that lasts too long by cancelling the task that waits.

    Between waits nobody is cancelled, so a generator may be suspended there, and be resumed by another task:

        alarm.arm(at_seconds, now_seconds)
        try:
            piece = await anext(pieces)
        except BaseException as exc:
            alarm.disarm_after(exc)
            raise
        alarm.disarm()

    Attributes:
        waiter: Who is cancelled; None while nobody waits.
        waiter_cancelling: How many cancellations it had pending when it began to wait.
        at_seconds: When it rings. Without `arm` it may be moved to any moment after the clock's next ring.
        has_rung: It has, and `disarm` or `disarm_after` has not taken that back yet.
    """

    __slots__ = ("_alarms", "_loop", "at_seconds", "has_rung", "waiter", "waiter_cancelling")

    def __init__(self, alarms: AlarmClock) -> None:
        self.waiter: asyncio.Task[object] | None = None
        self.waiter_cancelling = 0
        self.at_seconds = inf
        self.has_rung = False
        self._alarms = alarms
        self._loop = alarms.add(self)

    def arm(self, at_seconds: float, now_seconds: float) -> None:
        """Cancel the current task if it still waits at that moment.

        Raises:
            TimeoutError: The moment has passed already.
        """
        if at_seconds <= now_seconds:
            raise TimeoutError
        waiter = asyncio.current_task(self._loop)
        if waiter is None:
            raise RuntimeError("nothing waits outside a task")
        self.waiter = waiter
        self.waiter_cancelling = waiter.cancelling()
        self.at_seconds = at_seconds
        self._alarms.set(at_seconds, now_seconds)

    def disarm(self) -> None:
        """End a wait that came to its end, even if the alarm rang at the same moment."""
        if self.has_rung:
            self._take_back()
        self.waiter = None

    def disarm_after(self, exc: BaseException) -> None:
        """End a wait that failed; without a wait it does nothing.

        Raises:
            TimeoutError: It failed because the alarm rang. A cancellation from outside wins over it.
        """
        has_rung = self.has_rung
        is_ours_alone = has_rung and self._take_back() <= self.waiter_cancelling
        self.waiter = None
        if is_ours_alone and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc

    def stop(self) -> None:
        """Never ring again."""
        self._alarms.remove(self)

    def _take_back(self) -> int:
        self.has_rung = False
        return self.waiter.uncancel() if self.waiter is not None else 0

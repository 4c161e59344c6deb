"""A bound on many waits at the price of one timer."""

import asyncio

from domain.interfaces.clock import Clock

_LEAST_TIMER_SECONDS = 0.001  # the finest that event loops tell apart


class Alarm:
    """Ends a wait that lasts too long by cancelling the task that waits.

    The timer of the loop is not moved with every wait: it goes off, sees that the moment has shifted, and is set again.
    Between waits nobody is cancelled, so a generator may be suspended there, and be resumed by another task:

        alarm.arm(at_seconds)
        try:
            piece = await anext(pieces)
        except BaseException as exc:
            alarm.disarm_after(exc)
            raise
        alarm.disarm()
    """

    __slots__ = (
        "_at_seconds",
        "_cancelling",
        "_clock",
        "_has_rung",
        "_loop",
        "_task",
        "_timer",
        "_timer_at_seconds",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_seconds = 0.0
        self._cancelling = 0
        self._has_rung = False
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_seconds = 0.0

    def arm(self, at_seconds: float, now_seconds: float) -> None:
        """Cancel the current task if it still waits at that moment.

        Raises:
            TimeoutError: The moment has passed already.
        """
        if at_seconds <= now_seconds:
            raise TimeoutError
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("nothing waits outside a task")
        self._cancelling = task.cancelling()
        self._at_seconds = at_seconds
        self._task = task
        if self._timer is None or at_seconds < self._timer_at_seconds:
            self._set(now_seconds)

    def disarm(self) -> None:
        """End a wait that came to its end, even if the alarm rang at the same moment."""
        if self._has_rung:
            self._take_back()
        self._task = None

    def disarm_after(self, exc: BaseException) -> None:
        """End a wait that failed.

        Raises:
            TimeoutError: It failed because the alarm rang. A cancellation from outside wins over it.
        """
        has_rung = self._has_rung
        is_ours_alone = has_rung and self._take_back() <= self._cancelling
        self._task = None
        if is_ours_alone and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc

    def stop(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_back(self) -> int:
        self._has_rung = False
        return self._task.uncancel() if self._task is not None else 0

    def _set(self, now_seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = max(self._at_seconds - now_seconds, _LEAST_TIMER_SECONDS)
        self._timer_at_seconds = now_seconds + seconds
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        now_seconds = self._clock.monotonic()
        if now_seconds < self._at_seconds:
            self._set(now_seconds)
            return
        self._has_rung = True
        self._task.cancel()

"""Time that a test owns."""

import asyncio
import heapq
from itertools import count

from domain.interfaces.clock import Clock

START_MILLISECONDS = 1_795_341_600_000  # 2026-11-22T10:00:00Z


class FakeClock(Clock):
    """Stands still until a test advances it, or until somebody sleeps.

    Attributes:
        seconds: What `monotonic` returns.
        slept: Every sleep asked for, in order.
    """

    def __init__(self, *, sleeping_advances: bool = True) -> None:
        """Make a clock at 1 000 s.

        Args:
            sleeping_advances: A sleeper wakes at once and finds the time gone by. False: it sleeps until `advance`
                reaches it.
        """
        self.seconds = 1_000.0
        self.slept: list[float] = []
        self._start_seconds = self.seconds
        self._sleeping_advances = sleeping_advances
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_milliseconds(self) -> int:
        return START_MILLISECONDS + round((self.seconds - self._start_seconds) * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self._sleeping_advances:
            self.advance(seconds)
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._order), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and wake who slept no longer than that."""
        self.seconds += seconds
        while self._sleepers and self._sleepers[0][0] <= self.seconds:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

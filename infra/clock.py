"""The host's clock."""

import asyncio
import time

from domain.interfaces.clock import Clock


class SystemClock(Clock):
    """Real time."""

    def now_milliseconds(self) -> int:
        return time.time_ns() // 1_000_000

    # The function itself: it is asked some twenty times a request, and a frame around it would cost as much again.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

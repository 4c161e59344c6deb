"""The system clock."""

import asyncio
import time

from domain.interfaces.clock import Clock


class SystemClock(Clock):
    """Reads the clocks of the operating system."""

    def now_milliseconds(self) -> int:
        return time.time_ns() // 1_000_000

    # The function itself: it is called about twenty times per request, and a wrapper would double its cost.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

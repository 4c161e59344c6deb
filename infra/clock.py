"""The host's clock."""

import asyncio
import time

from domain.interfaces.clock import Clock


class SystemClock(Clock):
    """Real time."""

    def now_milliseconds(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

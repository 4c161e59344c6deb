"""Rate limits of requests over all processes that share a store."""

import asyncio
from dataclasses import dataclass

from domain.exceptions import RateLimited
from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import RateLimiter, RateLimitStatus
from infra.limits.counters import (
    NANOSECONDS,
    CountersUnavailable,
    RequestRate,
    SharedCounters,
)
from infra.limits.store_calls import StoreCalls
from infra.security.request_limits import MemoryRateLimiter

SHARE_OF_BLOCK = 16
"""A process takes this part of the available requests at once, so that most requests need no call and few are unused."""

_SWEEP_SECONDS = 60.0
_NANOSECONDS_PER_MILLISECOND = 1_000_000


@dataclass(slots=True)
class _Block:
    """The state of one caller's bucket in this process. Times are nanoseconds of the monotonic clock.

    Attributes:
        left: Requests taken from the bucket and not used.
        full_at: When the bucket is full if nothing more is taken; unused requests expire then.
        refused_until: The bucket is empty until then.
        waiting: Requests that wait for a response of the store.
        asking: The call, if there is one.
    """

    left: int = 0
    full_at: int = 0
    refused_until: int = 0
    waiting: int = 0
    asking: asyncio.Task[None] | None = None


class SharedRateLimiter(RateLimiter):
    """A token bucket for each caller in the store, from which each process takes blocks of requests.

    All processes together admit exactly what one bucket would. Unused requests of a block are lost at the time at which
    the bucket is full again: until then it makes no difference whether they were taken when the block was or when they
    are used, and from then on the bucket has them anyway. Concurrent requests and readers are counted in this process.

    While the store is unavailable, this process applies the limit to its own requests.
    """

    def __init__(
        self,
        counters: SharedCounters,
        calls: StoreCalls,
        clock: Clock,
        *,
        requests_per_minute: int,
        concurrent_requests: int,
        readers: int,
    ) -> None:
        self._counters = counters
        self._calls = calls
        self._clock = clock
        self._rate = RequestRate(requests_per_minute)
        self._interval = self._rate.interval
        self._window = self._rate.window
        self._own = MemoryRateLimiter(
            clock,
            requests_per_minute=requests_per_minute,
            concurrent_requests=concurrent_requests,
            readers=readers,
        )
        self._blocks: dict[str, _Block] = {}
        self._swept_seconds = clock.monotonic()

    async def admit(self, name: str) -> RateLimitStatus:
        # This process sees a part of the requests only, so it refuses none that the store would admit.
        own = self._own.count(name)
        try:
            return await self._take(name) or own
        except BaseException:
            self._own.take_back(name)
            raise

    def release(self, name: str) -> None:
        self._own.release(name)

    def count_as_reader(self, name: str) -> bool:
        return self._own.count_as_reader(name)

    def release_reader(self, name: str) -> None:
        self._own.release_reader(name)

    def status(self, name: str) -> RateLimitStatus:
        block = self._blocks.get(name)
        if block is None or self._calls.are_paused:
            return self._own.status(name)
        return self._status(block, self._now())

    async def _take(self, name: str) -> RateLimitStatus | None:
        """Take one request of the caller's block, after a call of the store if there is none.

        Returns None if the store is unavailable.

        Raises:
            RateLimited: The bucket is empty.
        """
        block = self._blocks.get(name)
        if block is None:
            self._sweep()
            block = self._blocks[name] = _Block()
        now = self._now()
        if now >= block.full_at:
            block.left = 0
        while not block.left:
            if now < block.refused_until:
                raise RateLimited((block.refused_until - now) / NANOSECONDS)
            block.waiting += 1
            try:
                # A task: it continues for the others if one of the requests that wait for it is cancelled.
                if block.asking is None:
                    block.asking = asyncio.create_task(self._ask(name, block))
                    block.asking.add_done_callback(_retrieve)
                await asyncio.shield(block.asking)
            except CountersUnavailable:
                return None
            finally:
                block.waiting -= 1
            now = self._now()
        block.left -= 1
        return self._status(block, now)

    async def _ask(self, name: str, block: _Block) -> None:
        """Take a block for the requests that wait, or note until when the bucket is empty."""
        asked_at = self._now()
        try:
            available = self._rate.available(block.full_at, asked_at)
            wanted = max(1, block.waiting, available // SHARE_OF_BLOCK)
            taken = await self._calls(
                lambda: self._counters.take_requests(
                    name,
                    self._rate,
                    wanted=wanted,
                    now=self._clock.now_milliseconds() * _NANOSECONDS_PER_MILLISECOND,
                )
            )
        finally:
            block.asking = None
        block.full_at = asked_at + taken.full_after
        block.left = taken.granted
        if not taken.granted:
            block.refused_until = block.full_at - self._window + self._interval

    def _status(self, block: _Block, now: int) -> RateLimitStatus:
        missing = max(0, block.full_at - now - block.left * self._interval)
        remaining = (self._window - missing) // self._interval
        if remaining <= 0:
            remaining, missing = 0, missing - self._window + self._interval
        return RateLimitStatus(remaining, -(-missing // NANOSECONDS))

    def _now(self) -> int:
        return round(self._clock.monotonic() * NANOSECONDS)

    def _sweep(self) -> None:
        """Once a minute, forget the callers whose bucket is full."""
        now_seconds = self._clock.monotonic()
        if now_seconds - self._swept_seconds < _SWEEP_SECONDS:
            return
        self._swept_seconds = now_seconds
        now = self._now()
        self._blocks = {
            name: block
            for name, block in self._blocks.items()
            if block.full_at > now or block.waiting
        }


def _retrieve(asking: asyncio.Task[None]) -> None:
    if not asking.cancelled():
        asking.exception()  # avoids asyncio's warning if all requests that wait were cancelled

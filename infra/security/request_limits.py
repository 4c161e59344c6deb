"""Rate limits of requests, in the memory of this process."""

from dataclasses import dataclass
from math import ceil

from domain.exceptions import RateLimited
from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import RateLimiter, RateLimitStatus

WINDOW_SECONDS = 60.0
_BUSY_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_seconds: float
    under_way: int = 0
    readers: int = 0


class MemoryRateLimiter(RateLimiter):
    """A token bucket for each caller; its capacity is the requests of one minute, and it refills evenly."""

    def __init__(
        self, clock: Clock, *, requests_per_minute: int, concurrent_requests: int, readers: int
    ) -> None:
        self._clock = clock
        self._capacity = float(requests_per_minute)
        self._per_second = requests_per_minute / WINDOW_SECONDS
        self._concurrent = concurrent_requests
        self._readers = readers
        self._buckets: dict[str, _Bucket] = {}
        self._swept_seconds = clock.monotonic()

    async def admit(self, name: str) -> RateLimitStatus:
        return self.count(name)

    def count(self, name: str) -> RateLimitStatus:
        """Admit without waiting."""
        bucket = self._refilled(name)
        if bucket.under_way >= self._concurrent:
            raise RateLimited(_BUSY_RETRY_SECONDS, "concurrency")
        if bucket.tokens < 1:
            raise RateLimited((1 - bucket.tokens) / self._per_second)
        bucket.tokens -= 1
        bucket.under_way += 1
        return self._status(bucket)

    def release(self, name: str) -> None:
        self._buckets[name].under_way -= 1

    def count_as_reader(self, name: str) -> bool:
        bucket = self._buckets[name]
        if bucket.readers >= self._readers:
            return False
        bucket.under_way -= 1
        bucket.readers += 1
        return True

    def release_reader(self, name: str) -> None:
        self._buckets[name].readers -= 1

    def take_back(self, name: str) -> None:
        """Undo an admission."""
        bucket = self._buckets[name]
        bucket.under_way -= 1
        bucket.tokens = min(self._capacity, bucket.tokens + 1)

    def status(self, name: str) -> RateLimitStatus:
        return self._status(self._refilled(name))

    def _refilled(self, name: str) -> _Bucket:
        """Return the caller's bucket, refilled up to now."""
        now = self._clock.monotonic()
        bucket = self._buckets.get(name)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[name] = _Bucket(self._capacity, now)
            return bucket
        gained = (now - bucket.at_seconds) * self._per_second
        bucket.tokens = min(self._capacity, bucket.tokens + gained)
        bucket.at_seconds = now
        return bucket

    def _status(self, bucket: _Bucket) -> RateLimitStatus:
        remaining = int(bucket.tokens)
        missing = self._capacity - bucket.tokens if remaining else 1 - bucket.tokens
        return RateLimitStatus(remaining, ceil(missing / self._per_second))

    def _sweep(self, now: float) -> None:
        """Once a minute, remove the buckets that were not used for a minute: they are full again."""
        if now - self._swept_seconds < WINDOW_SECONDS:
            return
        self._swept_seconds = now
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.under_way or bucket.readers or now - bucket.at_seconds < WINDOW_SECONDS
        }

"""The failure ratio of recent calls."""

from collections import deque


class FailureWindow:
    """Counts recent calls and failures in one bucket per second, so that memory does not grow with load."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._buckets: deque[list[int]] = deque()  # second, calls, failures
        self._calls = 0
        self._failures = 0

    def add(self, now_seconds: float, *, failed: bool) -> None:
        """Count one call that ended now."""
        second = int(now_seconds)
        buckets = self._buckets
        if not buckets or buckets[-1][0] != second:
            self._remove_old(now_seconds)
            buckets.append([second, 0, 0])
        bucket = buckets[-1]
        bucket[1] += 1
        self._calls += 1
        if failed:
            bucket[2] += 1
            self._failures += 1

    def failure_ratio(self, now_seconds: float, minimum_calls: int) -> float:
        """Return the share of calls that failed; 0 while there were fewer than `minimum_calls`."""
        self._remove_old(now_seconds)
        if self._calls < minimum_calls:
            return 0.0
        return self._failures / self._calls

    def clear(self) -> None:
        """Remove all counts."""
        self._buckets.clear()
        self._calls = 0
        self._failures = 0

    def _remove_old(self, now_seconds: float) -> None:
        oldest_second = now_seconds - self._window_seconds
        buckets = self._buckets
        while buckets and buckets[0][0] < oldest_second:
            _, calls, failures = buckets.popleft()
            self._calls -= calls
            self._failures -= failures

"""Counters that several limiters of one test share, and that can be away."""

import asyncio

from infra.limits.counters import (
    CountersUnavailable,
    GrantedRequests,
    GrantedTokens,
    RequestRate,
    SharedCounters,
    TokenChange,
)


class InMemoryCounters(SharedCounters):
    """Counts in this process.

    Attributes:
        calls: How often it was called.
        is_away: Every call fails.
        loses_answers: Every call counts, and fails.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.is_away = False
        self.loses_answers = False
        self.taken: dict[tuple[str, int], int] = {}
        self._full_at: dict[str, int] = {}
        self._spent: dict[tuple[str, int], int] = {}

    async def take_requests(
        self, name: str, rate: RequestRate, *, wanted: int, now: int
    ) -> GrantedRequests:
        await self._begin()
        full_at = min(max(self._full_at.get(name, now), now), now + rate.window)
        granted = min(wanted, rate.available(full_at, now))
        self._full_at[name] = full_at + granted * rate.interval
        self._end()
        return GrantedRequests(granted, self._full_at[name] - now)

    async def change_tokens(self, name: str, day: int, change: TokenChange) -> GrantedTokens:
        await self._begin()
        key = (name, day)
        left = change.budget + change.returned - self.taken.get(key, 0)
        granted = 0 if left < max(1, change.least) else min(change.wanted, left)
        self.taken[key] = change.budget - left + granted
        self._spent[key] = self._spent.get(key, 0) + change.spent
        self._end()
        return GrantedTokens(granted, left - granted, change.budget - self._spent[key])

    async def _begin(self) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise CountersUnavailable

    def _end(self) -> None:
        if self.loses_answers:
            raise CountersUnavailable

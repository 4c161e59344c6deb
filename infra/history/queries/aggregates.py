"""Aggregates of interactions that a store cannot compute itself."""

import math
from collections import Counter
from dataclasses import dataclass, field

from domain.entities.statistics import Group


@dataclass(slots=True)
class GroupAccumulator:
    """The running figures of one group.

    Times are counted per millisecond, so memory grows with the number of different times only.
    """

    interactions: int = 0
    failures: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    answered_in: Counter[int] = field(default_factory=Counter)

    def add_cost(self, cost_usd: float | None) -> None:
        """Add a cost; None means unknown."""
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    def group(self, key: str | None) -> Group:
        """Return the figures under their key."""
        return Group(
            key=key,
            interactions=self.interactions,
            failures=self.failures,
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            p50_seconds=self._percentile(0.5),
            p95_seconds=self._percentile(0.95),
        )

    def _percentile(self, share: float) -> float | None:
        """Return the percentile as SQLite's `percentile_cont` does, interpolated between two times."""
        if not self.answered_in:
            return None
        place = share * (self.answered_in.total() - 1)
        below, above = self._at(math.floor(place)), self._at(math.ceil(place))
        return (below + (above - below) * (place - math.floor(place))) / 1000

    def _at(self, place: int) -> int:
        """Return the time at an index of all times in ascending order."""
        passed = 0
        for milliseconds in sorted(self.answered_in):
            passed += self.answered_in[milliseconds]
            if passed > place:
                return milliseconds
        raise IndexError(place)


def whole_milliseconds(seconds: float) -> int:
    """Return a time in whole milliseconds, rounded as in every store."""
    return int(seconds * 1000 + 0.5)

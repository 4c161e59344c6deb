"""Compute statistics of a user's history."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.entities.statistics import Group, StatisticsQuery
from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True)
class SummariseHistory:
    """Returns statistics by day, model or provider."""

    history: HistoryRepository

    async def __call__(self, query: StatisticsQuery) -> Sequence[Group]:
        """Return the groups by key, the one without a key last; raises `HistoryUnreadable`."""
        groups = await self.history.statistics(query)
        return sorted(groups, key=lambda group: (group.key is None, group.key or ""))

"""Compute the usage of all users."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeVar

from domain.entities.usage.report import UsageFigures, UsageQuery, UsageReport
from domain.interfaces.history import UsageReader

K = TypeVar("K", str, str | None)


@dataclass(frozen=True, slots=True)
class SummariseUsage:
    """Returns the usage in a range of time, as a whole and by day, model and credential."""

    usage: UsageReader

    async def __call__(self, query: UsageQuery) -> UsageReport:
        """Return the usage of all users; raises `HistoryUnreadable`."""
        total = UsageFigures()
        by_day: defaultdict[str, UsageFigures] = defaultdict(UsageFigures)
        by_model: defaultdict[str, UsageFigures] = defaultdict(UsageFigures)
        by_credential: defaultdict[str | None, UsageFigures] = defaultdict(UsageFigures)
        for sums in await self.usage.usage(query):
            total += sums.figures
            by_day[sums.day] += sums.figures
            by_model[sums.model] += sums.figures
            by_credential[sums.credential] += sums.figures
        return UsageReport(
            query=query,
            total=total,
            by_day=_sorted(by_day),
            by_model=_sorted(by_model),
            by_credential=_sorted(by_credential),
        )


def _sorted(groups: dict[K, UsageFigures]) -> list[tuple[K, UsageFigures]]:
    return sorted(groups.items(), key=lambda group: (group[0] is None, group[0] or ""))

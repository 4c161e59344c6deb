"""Queries for the usage of all users, and their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.statistics import Day


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDay:
    """A day, or the part of it that a query includes.

    Attributes:
        key: The day in ISO 8601 format: `2026-11-22`.
        from_id: Smallest id, inclusive.
        to_id: Upper bound of the ids, exclusive.
    """

    key: str
    from_id: str
    to_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Query for the usage of all users in a range of time.

    Attributes:
        from_id: Smallest id, inclusive.
        to_id: Upper bound of the ids, exclusive.
        time_zone: Time zone in which days begin at midnight.
    """

    from_id: str
    to_id: str
    time_zone: tzinfo = UTC

    def days(self) -> Sequence[UsageDay]:
        """Return the days of the range in order; none if it is empty."""
        days = []
        from_id = self.from_id
        while from_id < self.to_id:
            day = Day.around(milliseconds_of(from_id), self.time_zone)
            end_id = min(first_id_at(day.end_milliseconds), self.to_id)
            days.append(UsageDay(key=day.key, from_id=from_id, to_id=end_id))
            from_id = end_id
        return days


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFigures:
    """Sums over interactions of every status.

    Attributes:
        failures: Number of interactions with a status in `statistics.FAILURES`.
        cached_input_tokens: Sum of the reported input tokens that providers read from their caches.
        cache_write_tokens: Sum of the reported input tokens that providers wrote to their caches.
        cost_usd: Sum of the known costs; None if none is known.
    """

    interactions: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None

    def __add__(self, other: "UsageFigures") -> "UsageFigures":
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return UsageFigures(
            interactions=self.interactions + other.interactions,
            failures=self.failures + other.failures,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cost_usd=sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSums:
    """The figures of one model and credential on one day.

    Attributes:
        day: `UsageDay.key`.
        model: As in `Interaction.model`.
        credential: As in `Interaction.credential`; None if it is not known.
    """

    day: str
    model: str
    credential: str | None
    figures: UsageFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The usage in a range of time: as a whole, and by day, model and credential; each adds up to `total`.

    Attributes:
        by_day: In order; days without interactions are left out.
        by_model: In alphabetical order.
        by_credential: Likewise; interactions whose credential is not known come last, under None.
    """

    query: UsageQuery
    total: UsageFigures
    by_day: Sequence[tuple[str, UsageFigures]]
    by_model: Sequence[tuple[str, UsageFigures]]
    by_credential: Sequence[tuple[str | None, UsageFigures]]

"""Statistics over a user's interactions, grouped by day, model or provider."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Self

from domain.entities.interaction import Status

DAY_MILLISECONDS = 86_400_000

_AFTER_ALL_IDS = 1 << 48
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_ORDINAL = date.max.toordinal()
_MILLISECOND = timedelta(milliseconds=1)


class GroupBy(StrEnum):
    """Property by which interactions are grouped."""

    DAY = "day"
    MODEL = "model"
    PROVIDER = "provider"


FAILURES = frozenset({Status.FAILED, Status.INTERRUPTED})
"""Statuses counted as failures: no answer arrived. Blocked and cancelled requests do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuery:
    """Query for a user's statistics.

    Attributes:
        user_id: Already authorised; every store filters by equality.
        from_id: Smallest id, inclusive.
        to_id: Upper bound of the ids, exclusive.
        time_zone: Time zone in which days begin at midnight.
    """

    user_id: str
    by: GroupBy = GroupBy.DAY
    from_id: str | None = None
    to_id: str | None = None
    time_zone: tzinfo = UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Statistics of one day, model or provider, over interactions of every status.

    Attributes:
        key: The day (`2026-11-22`), the model or the provider; None if no provider was called.
        failures: Number of interactions with a status in `FAILURES`.
        input_tokens: Sum of the reported input tokens.
        cached_input_tokens: Sum of the reported input tokens that providers read from their caches.
        cache_write_tokens: Sum of the reported input tokens that providers wrote to their caches.
        output_tokens: Sum of the reported output tokens.
        cost_usd: Sum of the known costs; None if none is known.
        p50_seconds: Median latency of answered interactions, to the millisecond; None if there are none.
        p95_seconds: 95th percentile of the same, with linear interpolation.
    """

    key: str | None
    interactions: int
    failures: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: float | None
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The time from one local midnight to the next: 24 hours, or 23 or 25 when daylight saving time begins or ends.

    Attributes:
        ordinal: `date.toordinal` of the day.
        first_milliseconds: Start of the day, in milliseconds since 1970 UTC; may be negative.
        end_milliseconds: Start of the next day.
    """

    ordinal: int
    first_milliseconds: int
    end_milliseconds: int

    @property
    def key(self) -> str:
        """The day in ISO 8601 format: `2026-11-22`."""
        return key_of_day(self.ordinal)

    @classmethod
    def around(cls, milliseconds: int, time_zone: tzinfo) -> Self:
        """Return the day that contains this millisecond since 1970 UTC.

        If midnight occurs twice because clocks are set back, the day begins at the first; if clocks skip midnight, it
        begins at the change. A date skipped by a change of time zone is empty.
        """
        local = (_EPOCH + milliseconds * _MILLISECOND).astimezone(time_zone).toordinal()
        ordinal = next(
            day
            for day in (local + 1, local, local - 1)
            if first_millisecond_of(day, time_zone) <= milliseconds
        )
        return cls(
            ordinal=ordinal,
            first_milliseconds=first_millisecond_of(ordinal, time_zone),
            end_milliseconds=first_millisecond_of(ordinal + 1, time_zone),
        )


def first_millisecond_of(ordinal: int, time_zone: tzinfo) -> int:
    """Return the start of a day, in milliseconds since 1970 UTC."""
    if ordinal > _LAST_ORDINAL:
        return _AFTER_ALL_IDS
    day = date.fromordinal(ordinal)
    return (datetime(day.year, day.month, day.day, tzinfo=time_zone) - _EPOCH) // _MILLISECOND


def key_of_day(ordinal: int) -> str:
    """Return a day in ISO 8601 format: `2026-11-22`."""
    return date.fromordinal(ordinal).isoformat()

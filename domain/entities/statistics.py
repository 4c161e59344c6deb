"""What a user's interactions add up to, group by group."""

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
    """What makes a group."""

    DAY = "day"
    MODEL = "model"
    PROVIDER = "provider"


FAILURES = frozenset({Status.FAILED, Status.INTERRUPTED})
"""What counts as a failure: nothing came back. A blocked or cancelled question is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuery:
    """One user's figures.

    Attributes:
        user_id: Authorised before the query was made; every store applies it as an equality.
        from_id: Only ids not below this one.
        to_id: Only ids below this one.
        time_zone: Whose midnights separate the days.
    """

    user_id: str
    by: GroupBy = GroupBy.DAY
    from_id: str | None = None
    to_id: str | None = None
    time_zone: tzinfo = UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of one day, model or provider, over interactions of every status.

    Attributes:
        key: The day (`2026-11-22`), the model or the provider; None where no provider was reached.
        failures: Those of a status in `FAILURES`.
        input_tokens: The sum of what providers told.
        output_tokens: The same, of what is billed as output.
        cost_usd: The sum of the known costs; None when none is known.
        p50_seconds: The median time to an answer, to the millisecond; None when nothing was answered.
        p95_seconds: What 95 % of the answers did not exceed; between two of them it is interpolated.
    """

    key: str | None
    interactions: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The time from one local midnight to the next: mostly 24 hours, where clocks are changed 23 or 25.

    Attributes:
        ordinal: As `date.toordinal` counts days.
        first_milliseconds: Its first millisecond, since 1970 UTC; negative where local clocks were behind then.
        end_milliseconds: The first one of the next day.
    """

    ordinal: int
    first_milliseconds: int
    end_milliseconds: int

    @property
    def key(self) -> str:
        """The day as it is written: `2026-11-22`."""
        return key_of_day(self.ordinal)

    @classmethod
    def around(cls, milliseconds: int, time_zone: tzinfo) -> Self:
        """Return the day that holds this millisecond since 1970 UTC.

        Where clocks go back from after midnight to before it, the day begins at the first of the two midnights; where
        they skip midnight, when they do so. A day that a change of the calendar skips holds nothing.
        """
        local = (_EPOCH + milliseconds * _MILLISECOND).astimezone(time_zone).toordinal()
        ordinal = next(
            one
            for one in (local + 1, local, local - 1)
            if first_millisecond_of(one, time_zone) <= milliseconds
        )
        return cls(
            ordinal=ordinal,
            first_milliseconds=first_millisecond_of(ordinal, time_zone),
            end_milliseconds=first_millisecond_of(ordinal + 1, time_zone),
        )


def first_millisecond_of(ordinal: int, time_zone: tzinfo) -> int:
    """Return when a day begins, in milliseconds since 1970 UTC."""
    if ordinal > _LAST_ORDINAL:
        return _AFTER_ALL_IDS
    day = date.fromordinal(ordinal)
    return (datetime(day.year, day.month, day.day, tzinfo=time_zone) - _EPOCH) // _MILLISECOND


def key_of_day(ordinal: int) -> str:
    """Return a day as it is written: `2026-11-22`."""
    return date.fromordinal(ordinal).isoformat()

"""Sums statistics over one covering index of the embedded store, without reading bodies."""

# ruff: noqa: S608 - put together from the constants of this file; every value travels as a parameter

from collections.abc import Iterator
from datetime import tzinfo

import apsw

from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.statistics import Day, Group, GroupBy, StatisticsQuery

_AFTER_ALL = "~"  # sorts after every id

_WHERE = "WHERE user_id = :user_id AND id >= :from_id AND id < :to_id"
_MILLISECONDS = "CASE WHEN answered THEN CAST(body ->> '$.seconds' * 1000 + 0.5 AS INTEGER) END"
_SUMS = f"""
    count(*),
    sum(status IN ('failed', 'interrupted')),
    coalesce(sum(body ->> '$.usage.input'), 0),
    coalesce(sum(body ->> '$.usage.cachedInput'), 0),
    coalesce(sum(body ->> '$.usage.cacheWrite'), 0),
    coalesce(sum(body ->> '$.usage.output'), 0),
    sum(body ->> '$.usage.costUsd'),
    percentile_cont({_MILLISECONDS}, 0.5) / 1000.0,
    percentile_cont({_MILLISECONDS}, 0.95) / 1000.0
    FROM interaction INDEXED BY figures {_WHERE}
"""
_GROUPS = {
    GroupBy.MODEL: f"SELECT model AS key, {_SUMS} GROUP BY key",
    GroupBy.PROVIDER: f"SELECT provider AS key, {_SUMS} GROUP BY key",
}
_ONE_GROUP = f"SELECT :day, {_SUMS}"
_FIRST = f"SELECT min(id) FROM interaction INDEXED BY figures {_WHERE}"


def statistics(connection: apsw.Connection, query: StatisticsQuery) -> list[Group]:
    """Return the groups of `query`, read from one state of the file."""
    values = {
        "user_id": query.user_id,
        "from_id": query.from_id or "",
        "to_id": query.to_id or _AFTER_ALL,
    }
    groups: list[Group] = []
    with connection:  # all days are read from one state of the file
        if query.by is GroupBy.DAY:
            groups += _days(connection, values, query.time_zone)
        else:
            groups += [_group(*row) for row in connection.execute(_GROUPS[query.by], values)]
    return groups


def _days(
    connection: apsw.Connection, values: dict[str, str], time_zone: tzinfo
) -> Iterator[Group]:
    """Yield the days that have interactions; ids sort by time, so a day is a range of ids."""
    while (first_id := connection.execute(_FIRST, values).get) is not None:
        day = Day.around(milliseconds_of(first_id), time_zone)
        next_day = first_id_at(day.end_milliseconds)
        if next_day <= first_id:  # the last day an id can name
            next_day = _AFTER_ALL
        within = values | {"to_id": min(next_day, values["to_id"]), "day": day.key}
        yield _group(*next(connection.execute(_ONE_GROUP, within)))
        values = values | {"from_id": next_day}


def _group(
    key: str | None,
    interactions: int,
    failures: int,
    input_tokens: int,
    cached_input_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    cost_usd: float | None,
    p50_seconds: float | None,
    p95_seconds: float | None,
) -> Group:
    return Group(
        key=key,
        interactions=interactions,
        failures=failures,
        input_tokens=input_tokens,
        cached_input_tokens=cached_input_tokens,
        cache_write_tokens=cache_write_tokens,
        output_tokens=output_tokens,
        cost_usd=cost_usd,
        p50_seconds=p50_seconds,
        p95_seconds=p95_seconds,
    )

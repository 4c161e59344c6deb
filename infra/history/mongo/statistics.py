"""Statistics from MongoDB."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.interaction import milliseconds_of
from domain.entities.statistics import (
    DAY_MILLISECONDS,
    FAILURES,
    Day,
    Group,
    GroupBy,
    StatisticsQuery,
    first_millisecond_of,
    key_of_day,
)
from infra.history.queries.aggregates import GroupAccumulator
from infra.storage.mongo.client import Document

_DIGITS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12)
"""The twelve hexadecimal digits of the time in an id."""

_ASKED_AT: Document = {
    "$add": [
        {
            "$multiply": [
                {"$indexOfBytes": ["0123456789abcdef", {"$substrBytes": ["$_id", place, 1]}]},
                16 ** (11 - number),
            ]
        }
        for number, place in enumerate(_DIGITS)
    ]
}
_MODEL = "$model"
_PROVIDER: Document = {"$ifNull": ["$provider", None]}
_MILLISECONDS: Document = {"$trunc": {"$add": [{"$multiply": ["$seconds", 1000]}, 0.5]}}
_IS_FAILURE: Document = {"$in": ["$status", sorted(FAILURES)]}


async def statistics(
    interactions: AsyncCollection[Document],
    query: StatisticsQuery,
    *,
    living: Document,
    milliseconds: int,
) -> list[Group]:
    """Return the groups of `query`.

    The server adds up what took equally long, by the millisecond; percentiles are taken here, exactly. `$percentile`
    needs a newer server than others do, and estimates.

    Args:
        interactions: The collection, with an index by user and id.
        query: The query.
        living: A condition on ids that excludes erased interactions.
        milliseconds: Time limit of the read.
    """
    bounds = {"$gte": query.from_id or "", **({} if query.to_id is None else {"$lt": query.to_id})}
    ids = [{"_id": condition} for condition in (bounds, living) if condition]
    matching: Document = {"userId": query.user_id, "$and": ids}
    key: Any = _MODEL if query.by is GroupBy.MODEL else _PROVIDER
    if query.by is GroupBy.DAY:
        ends = await _ends(interactions, matching, milliseconds=milliseconds)
        if ends is None:
            return []
        first_id, last_id = ends
        matching["$and"] = [*ids, {"_id": {"$lte": last_id}}]
        key = _day(milliseconds_of(first_id), milliseconds_of(last_id), query.time_zone)
    pipeline: list[Document] = [
        {"$match": matching},
        {
            "$group": {
                "_id": {
                    "key": key,
                    "in": {"$cond": [{"$eq": ["$answered", True]}, _MILLISECONDS, None]},
                },
                "interactions": {"$sum": 1},
                "failures": {"$sum": {"$cond": [_IS_FAILURE, 1, 0]}},
                "input": {"$sum": "$usage.input"},
                "output": {"$sum": "$usage.output"},
                "cost": {"$sum": "$usage.costUsd"},
                "priced": {"$sum": {"$cond": [{"$isNumber": "$usage.costUsd"}, 1, 0]}},
            }
        },
    ]
    tallies: defaultdict[Any, GroupAccumulator] = defaultdict(GroupAccumulator)
    async for found in await interactions.aggregate(
        pipeline, maxTimeMS=milliseconds, allowDiskUse=True
    ):
        tally = tallies[found["_id"]["key"]]
        tally.interactions += found["interactions"]
        tally.failures += found["failures"]
        tally.input_tokens += found["input"]
        tally.output_tokens += found["output"]
        if found["priced"]:
            tally.add_cost(found["cost"])
        if found["_id"]["in"] is not None:
            tally.answered_in[int(found["_id"]["in"])] += found["interactions"]
    return [tally.group(_named(query.by, key)) for key, tally in tallies.items()]


async def _ends(
    interactions: AsyncCollection[Document], matching: Document, *, milliseconds: int
) -> tuple[str, str] | None:
    """Return the first and the last matching id; None without a match."""
    first, last = await asyncio.gather(
        *(
            interactions.find_one(
                matching, {"_id": 1}, sort=[("_id", order)], max_time_ms=milliseconds
            )
            for order in (ASCENDING, DESCENDING)
        )
    )
    return None if first is None or last is None else (first["_id"], last["_id"])


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive days of 24 hours, or one day of another length."""

    ordinal: int
    first_milliseconds: int
    is_regular: bool


def _day(first_milliseconds: int, last_milliseconds: int, time_zone: tzinfo) -> Document:
    """Return the expression for the ordinal of an interaction's day.

    The server is not asked for the time zone: it has rules of its own, of another age than those that other stores
    are asked by.
    """
    day = Day.around(first_milliseconds, time_zone)
    runs = [_Run(day.ordinal, day.first_milliseconds, is_regular=True)]
    if time_zone is not UTC:
        runs = list(_runs(day, last_milliseconds, time_zone))
    return {"$let": {"vars": {"askedAt": _ASKED_AT}, "in": _ordinal(runs)}}


def _runs(day: Day, last_milliseconds: int, time_zone: tzinfo) -> Iterator[_Run]:
    ordinal, first = day.ordinal, day.first_milliseconds
    is_in_run = False
    while first <= last_milliseconds:
        # No zone changes its clocks twice within seven days, so each change is found.
        days = 7
        end = first_millisecond_of(ordinal + days, time_zone)
        if end - first != days * DAY_MILLISECONDS:
            days = 1
            end = first_millisecond_of(ordinal + days, time_zone)
        is_regular = end - first == days * DAY_MILLISECONDS
        if not (is_regular and is_in_run):
            yield _Run(ordinal, first, is_regular)
        is_in_run = is_regular
        ordinal, first = ordinal + days, end


def _ordinal(runs: Sequence[_Run]) -> Any:
    """Return the expression that finds the run by halving, and the day within it."""
    if len(runs) == 1:
        (run,) = runs
        if not run.is_regular:
            return run.ordinal
        passed = {"$subtract": ["$$askedAt", run.first_milliseconds]}
        return {"$add": [run.ordinal, {"$floor": {"$divide": [passed, DAY_MILLISECONDS]}}]}
    middle = len(runs) // 2
    is_before = {"$lt": ["$$askedAt", runs[middle].first_milliseconds]}
    return {"$cond": [is_before, _ordinal(runs[:middle]), _ordinal(runs[middle:])]}


def _named(by: GroupBy, key: Any) -> str | None:
    if by is GroupBy.DAY:
        return key_of_day(int(key))
    return None if key is None else str(key)

"""Statistics from MongoDB."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import tzinfo
from itertools import chain, pairwise
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.statistics import (
    FAILURES,
    Day,
    Group,
    GroupBy,
    StatisticsQuery,
    first_millisecond_of,
    key_of_day,
)
from infra.history.queries.aggregates import GroupAccumulator, whole_milliseconds
from infra.storage.mongo.client import Document

_MOST_DAYS = 4_000
_GROUPS_AT_ONCE = 10_000
_MANY = 5_000
"""From this number of interactions on, the server aggregates parts of them in parallel, on all its cores."""
_PARTS = 4

_BLOCK: Document = {"$substrBytes": ["$_id", 0, 5]}
"""Ids of 3.1 days: keeps the latencies of one group below the limit of a document."""
_NOTHING: Document = {"$literal": None}
_IS_FAILURE: Document = {"$in": ["$status", sorted(FAILURES)]}


async def statistics(
    interactions: AsyncCollection[Document],
    query: StatisticsQuery,
    *,
    living: Document,
    milliseconds: int,
) -> list[Group]:
    """Return the groups of `query`.

    The server lists the latencies of each group, and percentiles are computed here: its `$percentile` estimates. Days
    are passed to it as ranges of ids: its own would follow other time zone rules than those of the other stores.

    Args:
        interactions: The collection, with an index that has all that is read, which MongoDB prefers to reading documents.
        query: The query.
        living: A condition on ids that excludes erased interactions.
        milliseconds: Time limit of the read.
    """
    bounds = {"$gte": query.from_id or "", **({} if query.to_id is None else {"$lt": query.to_id})}
    ids = [{"_id": condition} for condition in (bounds, living) if condition]
    matching: Document = {"userId": query.user_id, "$and": ids}
    key: Any = "$model" if query.by is GroupBy.MODEL else {"$ifNull": ["$provider", None]}
    block: Any = _BLOCK
    ends = await _ends(interactions, matching, milliseconds=milliseconds)
    if ends is None:
        return []
    if query.by is GroupBy.DAY:
        starts = _starts(*ends, query.time_zone)
        key, block = (_day(starts), _NOTHING) if starts else (_NOTHING, "$_id")
    grouping: Document = {
        "_id": {"key": key, "block": block},
        "interactions": {"$sum": 1},
        "failures": {"$sum": {"$cond": [_IS_FAILURE, 1, 0]}},
        "input": {"$sum": "$usage.input"},
        "cachedInput": {"$sum": "$usage.cachedInput"},
        "cacheWrite": {"$sum": "$usage.cacheWrite"},
        "output": {"$sum": "$usage.output"},
        "cost": {"$sum": "$usage.costUsd"},
        "priced": {"$sum": {"$cond": [{"$isNumber": "$usage.costUsd"}, 1, 0]}},
        "answeredIn": {"$push": {"$cond": ["$answered", "$seconds", "$$REMOVE"]}},
    }
    parts: list[Document] = [{"$gte": ends[0], "$lte": ends[1]}]
    counted = await interactions.count_documents(matching, limit=_MANY, maxTimeMS=milliseconds)
    if counted == _MANY:
        parts = _parts(*ends)
    groups = await asyncio.gather(
        *(
            _groups(interactions, matching, part, grouping, milliseconds=milliseconds)
            for part in parts
        )
    )
    tallies: defaultdict[Any, GroupAccumulator] = defaultdict(GroupAccumulator)
    for found in chain.from_iterable(groups):
        key, block = found["_id"]["key"], found["_id"]["block"]
        if query.by is GroupBy.DAY:
            is_listed = block is None
            day = key if is_listed else Day.around(milliseconds_of(block), query.time_zone).ordinal
            key = key_of_day(int(day))
        tally = tallies[key]
        tally.interactions += found["interactions"]
        tally.failures += found["failures"]
        tally.input_tokens += found["input"]
        tally.cached_input_tokens += found["cachedInput"]
        tally.cache_write_tokens += found["cacheWrite"]
        tally.output_tokens += found["output"]
        if found["priced"]:
            tally.add_cost(found["cost"])
        tally.answered_in.update(map(whole_milliseconds, found["answeredIn"]))
    return [tally.group(None if key is None else str(key)) for key, tally in tallies.items()]


async def _groups(
    interactions: AsyncCollection[Document],
    matching: Document,
    part: Document,
    grouping: Document,
    *,
    milliseconds: int,
) -> list[Document]:
    """Return the groups of the matching interactions whose ids are within `part`."""
    cursor = await interactions.aggregate(
        [
            {"$match": {**matching, "$and": [*matching["$and"], {"_id": part}]}},
            {"$group": grouping},
        ],
        maxTimeMS=milliseconds,
        allowDiskUse=True,
        batchSize=_GROUPS_AT_ONCE,
    )
    return await cursor.to_list()


def _parts(first_id: str, last_id: str) -> list[Document]:
    """Return conditions on ids that divide the time from one to another into equal parts."""
    first, last = milliseconds_of(first_id), milliseconds_of(last_id)
    borders = [
        first_id_at(first + (last - first) * number // _PARTS) for number in range(1, _PARTS)
    ]
    return [
        *({"$gte": begin, "$lt": end} for begin, end in pairwise([first_id, *borders])),
        {"$gte": borders[-1], "$lte": last_id},
    ]


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


def _day(starts: Sequence[tuple[int, int]]) -> Any:
    """Return the expression for the ordinal of an id's day, found by binary search.

    Args:
        starts: Ordinals and first milliseconds of consecutive days.
    """
    if len(starts) == 1:
        return {"$literal": starts[0][0]}
    middle = len(starts) // 2
    is_before = {"$lt": ["$_id", first_id_at(starts[middle][1])]}
    return {"$cond": [is_before, _day(starts[:middle]), _day(starts[middle:])]}


def _starts(first_id: str, last_id: str, time_zone: tzinfo) -> list[tuple[int, int]]:
    """Return the days of two ids and all between them; none if they are too many, as imported ids can make them."""
    first, last = (
        Day.around(milliseconds_of(one), time_zone).ordinal for one in (first_id, last_id)
    )
    if last - first >= _MOST_DAYS:
        return []
    return [(day, first_millisecond_of(day, time_zone)) for day in range(first, last + 1)]

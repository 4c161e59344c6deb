"""Figures from MongoDB."""

from collections import defaultdict
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.interaction import first_id_at
from domain.entities.statistics import (
    DAY_MILLISECONDS,
    FAILURES,
    By,
    Group,
    StatisticsQuery,
    day_of,
)
from infra.history.documents import Document
from infra.history.tallies import Tally

_DIGITS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)
"""Where an id has the digits that tell the day: its time is twelve of base 16, and a day is a multiple of 16² ms."""

_DAY: Document = {
    "$floor": {
        "$divide": [
            {
                "$add": [
                    {
                        "$multiply": [
                            {"$indexOfBytes": ["0123456789abcdef", {"$substrBytes": ["$_id", place, 1]}]},
                            16 ** (11 - number),
                        ]
                    }
                    for number, place in enumerate(_DIGITS)
                ]
            },
            DAY_MILLISECONDS,
        ]
    }
}  # fmt: skip
_KEYS: dict[By, Any] = {
    By.DAY: _DAY,
    By.MODEL: "$model",
    By.PROVIDER: {"$ifNull": ["$provider", None]},
}
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
        interactions: With an index by user and id.
        query: What is asked for.
        living: A condition on the ids of what was not erased.
        milliseconds: What the read may take.
    """
    bounds = {"$gte": query.from_id or "", **({} if query.to_id is None else {"$lt": query.to_id})}
    ids = [{"_id": condition} for condition in (bounds, living) if condition]
    pipeline: list[Document] = [
        {"$match": {"userId": query.user_id, "$and": ids}},
        {
            "$group": {
                "_id": {
                    "key": _KEYS[query.by],
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
    tallies: defaultdict[Any, Tally] = defaultdict(Tally)
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


def _named(by: By, key: Any) -> str | None:
    if by is By.DAY:
        return day_of(first_id_at(int(key) * DAY_MILLISECONDS))
    return None if key is None else str(key)

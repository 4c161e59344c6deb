"""Adds up the usage of all users in MongoDB."""

import asyncio
from collections import defaultdict
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.statistics import FAILURES
from domain.entities.usage.report import UsageDay, UsageFigures, UsageQuery, UsageSums
from infra.storage.mongo.client import Document

_GROUPS_AT_ONCE = 10_000
_DAYS_AT_ONCE = 4
"""Days that the server adds up at the same time, on several cores."""

# Only sums and a maximum of fields: with a condition among them, MongoDB 6 takes half as long again.
_GROUPING: Document = {
    "_id": {"model": "$model", "credential": "$credential", "status": "$status"},
    "interactions": {"$sum": 1},
    "input": {"$sum": "$usage.input"},
    "output": {"$sum": "$usage.output"},
    "reasoning": {"$sum": "$usage.reasoning"},
    "cachedInput": {"$sum": "$usage.cachedInput"},
    "cacheWrite": {"$sum": "$usage.cacheWrite"},
    "costUsd": {"$sum": "$usage.costUsd"},
    "highestCostUsd": {"$max": "$usage.costUsd"},
}


async def usage(
    interactions: AsyncCollection[Document],
    query: UsageQuery,
    *,
    hint: str | None,
    milliseconds: int,
) -> list[UsageSums]:
    """Return the sums of `query`. Erased interactions are deleted, so tombstones are not read.

    Args:
        interactions: The collection.
        query: The query.
        hint: The index with all fields that are read; None before it exists.
        milliseconds: Time limit of each day.
    """
    slots = asyncio.Semaphore(_DAYS_AT_ONCE)
    options: dict[str, Any] = {} if hint is None else {"hint": hint}

    async def sums_of(day: UsageDay) -> list[UsageSums]:
        async with slots:
            cursor = await interactions.aggregate(
                [
                    {"$match": {"_id": {"$gte": day.from_id, "$lt": day.to_id}}},
                    {"$group": _GROUPING},
                ],
                maxTimeMS=milliseconds,
                batchSize=_GROUPS_AT_ONCE,
                **options,
            )
            return _sums(day, await cursor.to_list())

    found = await asyncio.gather(*map(sums_of, query.days()))
    return [sums for of_day in found for sums in of_day]


def _sums(day: UsageDay, groups: list[Document]) -> list[UsageSums]:
    """Return the sums of a day, from its groups by model, credential and status."""
    figures: defaultdict[tuple[str, str | None], UsageFigures] = defaultdict(UsageFigures)
    for group in groups:
        key: dict[str, Any] = group["_id"]
        count = group["interactions"]
        figures[key["model"], key.get("credential")] += UsageFigures(
            interactions=count,
            failures=count if key["status"] in FAILURES else 0,
            input_tokens=group["input"],
            output_tokens=group["output"],
            reasoning_tokens=group["reasoning"],
            cached_input_tokens=group["cachedInput"],
            cache_write_tokens=group["cacheWrite"],
            cost_usd=None if group["highestCostUsd"] is None else float(group["costUsd"]),
        )
    return [
        UsageSums(day=day.key, model=model, credential=credential, figures=sums)
        for (model, credential), sums in figures.items()
    ]

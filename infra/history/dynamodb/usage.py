"""Adds up the usage of all users in the DynamoDB table."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from domain.entities.interaction import PROVISIONAL, Status, first_id_at, milliseconds_of
from domain.entities.statistics import FAILURES
from domain.entities.usage.report import UsageFigures, UsageQuery, UsageSums
from infra.history.dynamodb.item_reader import interactions_in
from infra.history.dynamodb.items import HAS_USAGE, figures_of
from infra.history.dynamodb.schema import BY_STATUS
from infra.storage.aws.dynamodb_table import CALLS_AT_ONCE, Item, Table

_PARTS = 8
"""Parts of the range of time, which are read at the same time: one query reads a megabyte after the other."""


async def usage(table: Table, query: UsageQuery) -> list[UsageSums]:
    """Return the sums of `query`, from the items of each status in that time.

    The index has their figures. Those that an earlier version wrote are computed from the bodies. An interaction that
    gets its outcome meanwhile changes its status: those without one are read first, and their outcomes replace them.
    """
    days = query.days()
    first_ids = [day.from_id for day in days]
    slots = asyncio.Semaphore(CALLS_AT_ONCE)
    provisional: dict[tuple[str, str], tuple[_Key, Item]] = {}
    tallies: defaultdict[_Key, _Tally] = defaultdict(_Tally)

    def add(item: Item, status: Status) -> None:
        interaction_id = item["sk"]["S"]
        day = days[bisect_right(first_ids, interaction_id) - 1].key
        key = (day, item["model"]["S"], _text(item, "credential"))
        place = (item["pk"]["S"], interaction_id)
        if status in PROVISIONAL:
            provisional[place] = (key, item)
            return
        provisional.pop(place, None)
        tallies[key].add(item)

    async def read(status: Status, low: str, high: str) -> None:
        async with slots:
            async for items in _pages(table, status, low, high):
                for item in await _with_usage(table, items):
                    if item["sk"]["S"] < high:
                        add(item, status)

    borders = _borders(query.from_id, query.to_id) if days else []
    for statuses in (PROVISIONAL, frozenset(Status) - PROVISIONAL):
        await asyncio.gather(
            *(read(status, low, high) for status in statuses for low, high in pairwise(borders))
        )
    for key, item in provisional.values():
        tallies[key].add(item)
    return [
        UsageSums(day=day, model=model, credential=credential, figures=tally.figures())
        for (day, model, credential), tally in tallies.items()
    ]


_Key = tuple[str, str, str | None]
"""Day, model and credential."""


@dataclass(slots=True)
class _Tally:
    """Running figures: changed in place, since there may be hundreds of thousands of items."""

    interactions: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None

    def add(self, item: Item) -> None:
        """Add an item of the index."""
        self.interactions += 1
        self.failures += item["status"]["S"] in FAILURES
        self.input_tokens += _number(item, "inputTokens")
        self.output_tokens += _number(item, "outputTokens")
        self.reasoning_tokens += _number(item, "reasoningTokens")
        self.cached_input_tokens += _number(item, "cachedInputTokens")
        self.cache_write_tokens += _number(item, "cacheWriteTokens")
        if "costUsd" in item:
            self.cost_usd = (self.cost_usd or 0.0) + float(item["costUsd"]["N"])

    def figures(self) -> UsageFigures:
        """Return the sums so far."""
        return UsageFigures(**asdict(self))


async def _pages(
    table: Table, status: Status, low: str, high: str
) -> AsyncGenerator[list[Item], None]:
    """Yield the items of one status from one id to another, both included."""
    start: dict[str, Any] = {}
    while True:
        page = await table.call(
            "query",
            IndexName=BY_STATUS,
            KeyConditionExpression="#status = :status AND sk BETWEEN :low AND :high",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":status": {"S": status.value},
                ":low": {"S": low},
                ":high": {"S": high},
            },
            **start,
        )
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def _with_usage(table: Table, items: list[Item]) -> list[Item]:
    """Return the items with all figures; those of an earlier version are read as a whole."""
    without = [{"pk": item["pk"], "sk": item["sk"]} for item in items if HAS_USAGE not in item]
    if not without:
        return items
    found = await interactions_in(table, await table.get_many(without))
    figures = {(f"U#{one.user_id}", one.id): figures_of(one) for one in found}
    places = [(item["pk"]["S"], item["sk"]["S"]) for item in items]
    return [
        item | figures.get(place, {})
        for item, place in zip(items, places, strict=True)
        if HAS_USAGE in item or place in figures  # else it was erased meanwhile
    ]


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def _text(item: Mapping[str, Any], name: str) -> str | None:
    return str(item[name]["S"]) if name in item else None


def _borders(from_id: str, to_id: str) -> list[str]:
    """Return ids that divide the time between two ids into equal parts, both included."""
    first, end = milliseconds_of(from_id), milliseconds_of(to_id)
    inner = {first_id_at(first + (end - first) * number // _PARTS) for number in range(1, _PARTS)}
    return [from_id, *sorted(border for border in inner if from_id < border < to_id), to_id]

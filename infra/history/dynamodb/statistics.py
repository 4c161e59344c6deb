"""Statistics from the DynamoDB table."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from domain.entities.interaction import milliseconds_of
from domain.entities.statistics import FAILURES, Day, Group, GroupBy, StatisticsQuery
from infra.history.dynamodb.item_reader import interactions_in
from infra.history.dynamodb.items import figures_of, key_of
from infra.history.queries.aggregates import GroupAccumulator
from infra.storage.aws.dynamodb_table import Item, Table

_READ = (
    *("sk", "status", "answered", "model", "provider"),
    *("milliseconds", "inputTokens", "cachedInputTokens", "cacheWriteTokens"),
    *("outputTokens", "costUsd"),
)
_AFTER_ALL = "~"  # sorts behind every id


async def statistics(table: Table, query: StatisticsQuery, first_id: str) -> list[Group]:
    """Return the groups of `query`, from all items of the user in that time.

    DynamoDB has no aggregates: the figures are read a megabyte of items at a time, without bodies, and added up here.
    Interactions below `first_id` are erased.
    """
    low, high = max(query.from_id or " ", first_id), query.to_id or _AFTER_ALL
    tallies: defaultdict[str | None, GroupAccumulator] = defaultdict(GroupAccumulator)
    key_of_item = _keys(query)
    start: dict[str, Any] = {}
    while low < high:
        page = await table.call(
            "query",
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            FilterExpression="attribute_not_exists(erased)",
            ExpressionAttributeValues={
                ":pk": {"S": f"U#{query.user_id}"},
                ":low": {"S": low},
                ":high": {"S": high},
            },
            ProjectionExpression=", ".join(f"#{name}" for name in _READ),
            ExpressionAttributeNames={f"#{name}": name for name in _READ},
            ConsistentRead=True,
            **start,
        )
        for item in await _with_figures(table, query.user_id, page["Items"]):
            if item["sk"]["S"] < high:
                _add(tallies[key_of_item(item)], item)
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    return [tally.group(key) for key, tally in tallies.items()]


async def _with_figures(table: Table, user_id: str, items: list[Item]) -> list[Item]:
    """Return the items; figures that an earlier version did not write are computed from the bodies."""
    without = [key_of(user_id, item["sk"]["S"]) for item in items if "milliseconds" not in item]
    if not without:
        return items
    found = await interactions_in(table, await table.get_many(without))
    figures = {interaction.id: figures_of(interaction) for interaction in found}
    return [
        item | figures.get(item["sk"]["S"], {})
        for item in items
        if "milliseconds" in item or item["sk"]["S"] in figures
    ]


def _keys(query: StatisticsQuery) -> Callable[[Item], str | None]:
    """Return a function from an item to the key of its group."""
    if query.by is GroupBy.MODEL:
        return lambda item: str(item["model"]["S"])
    if query.by is GroupBy.PROVIDER:
        return lambda item: item["provider"]["S"] if "provider" in item else None
    day: Day | None = None

    def key_of_day(item: Item) -> str:
        # Items are in order of time, so most have the same day as the previous one.
        nonlocal day
        milliseconds = milliseconds_of(item["sk"]["S"])
        if day is None or not day.first_milliseconds <= milliseconds < day.end_milliseconds:
            day = Day.around(milliseconds, query.time_zone)
        return day.key

    return key_of_day


def _add(tally: GroupAccumulator, item: Item) -> None:
    tally.interactions += 1
    tally.failures += item["status"]["S"] in FAILURES
    tally.input_tokens += _tokens(item, "inputTokens")
    tally.cached_input_tokens += _tokens(item, "cachedInputTokens")
    tally.cache_write_tokens += _tokens(item, "cacheWriteTokens")
    tally.output_tokens += _tokens(item, "outputTokens")
    tally.add_cost(float(item["costUsd"]["N"]) if "costUsd" in item else None)
    if "answered" in item:
        tally.answered_in[int(item["milliseconds"]["N"])] += 1


def _tokens(item: Item, name: str) -> int:
    return int(item[name]["N"]) if name in item else 0

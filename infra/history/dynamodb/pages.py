"""Pages of history from the DynamoDB table."""

from dataclasses import dataclass, field
from typing import Any

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order
from domain.entities.interaction import Interaction, Status
from infra.history.dynamodb.schema import BY_CONVERSATION, BY_MODEL
from infra.storage.aws.dynamodb_table import Item, Table

OVER_READING = 5
QUERIES_A_PAGE = 8
"""How many queries one page makes for filters without an index before it ends early with a `next_id`."""


@dataclass(slots=True)
class _Expressions:
    """The expressions of one query; every value is a parameter."""

    key: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    def equal(self, where: list[str], name: str, value: str) -> None:
        """Require that the attribute `name` equals `value`."""
        where.append(f"#{name} = :{name}")
        self.names[f"#{name}"] = name
        self.values[f":{name}"] = {"S": value}

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the driver's call."""
        parameters: dict[str, Any] = {
            "KeyConditionExpression": " AND ".join(self.key),
            "ExpressionAttributeNames": self.names,
            "ExpressionAttributeValues": self.values,
        }
        if self.filters:
            parameters["FilterExpression"] = " AND ".join(self.filters)
        return parameters


async def find_items(table: Table, query: HistoryQuery) -> tuple[list[Item], str | None]:
    """Return the items of one page with their bodies, and the `next_id` of the page.

    An index may be some milliseconds behind; the items themselves are current.
    """
    low, high = _bounds(query)
    if low is not None and high is not None and low > high:
        return [], None
    asked, index = _asked(query, low, high)
    found: list[Item] = []
    start: dict[str, Any] = {}
    for _ in range(QUERIES_A_PAGE):
        page = await table.call(
            "query",
            Limit=_limit(query),
            ScanIndexForward=query.order is Order.ASC,
            **asked,
            **start,
        )
        found += [item for item in page["Items"] if _is_within(query, item["sk"]["S"])]
        start = (
            {"ExclusiveStartKey": page["LastEvaluatedKey"]} if "LastEvaluatedKey" in page else {}
        )
        if len(found) > query.limit or not start:
            break
    next_id: str | None = None
    if len(found) > query.limit:
        found = found[: query.limit]
        next_id = found[-1]["sk"]["S"]
    elif start:
        next_id = start["ExclusiveStartKey"]["sk"]["S"]
    if index is None:
        return found, next_id
    keys = [{"pk": item["pk"], "sk": item["sk"]} for item in found]
    whole = {item["sk"]["S"]: item for item in await table.get_many(keys)}
    return [whole[key["sk"]["S"]] for key in keys if key["sk"]["S"] in whole], next_id


def passes(interaction: Interaction, wanted: HistoryFilter) -> bool:
    """Return whether the status is wanted; an index may have matched the previous one."""
    if wanted.statuses:
        return interaction.status in wanted.statuses
    return interaction.is_answered


def _asked(
    query: HistoryQuery, low: str | None, high: str | None
) -> tuple[dict[str, Any], str | None]:
    """Return a query's parameters, and the index it uses."""
    wanted, user_id = query.filter, query.user_id
    ask = _Expressions()
    index: str | None = None
    if wanted.conversation_id is not None:
        index = BY_CONVERSATION
        ask.equal(ask.key, "userConversation", f"{user_id}#{wanted.conversation_id}")
        if wanted.model is not None:
            ask.equal(ask.filters, "model", wanted.model)
    elif wanted.model is not None:
        index = BY_MODEL
        ask.equal(ask.key, "userModel", f"{user_id}#{wanted.model}")
    else:
        ask.equal(ask.key, "pk", f"U#{user_id}")
    if wanted.provider is not None:
        ask.equal(ask.filters, "provider", wanted.provider)
    _add_status(ask, wanted.statuses)
    _add_range(ask, low, high)
    where = {"ConsistentRead": True} if index is None else {"IndexName": index}
    return ask.parameters() | where, index


def _add_status(ask: _Expressions, statuses: frozenset[Status]) -> None:
    if not statuses:
        ask.filters.append("answered = :answered")
        ask.values[":answered"] = {"BOOL": True}
    elif len(statuses) == len(Status):
        ask.filters.append("attribute_not_exists(erased)")
    else:
        places = {f":status{n}": {"S": status.value} for n, status in enumerate(sorted(statuses))}
        ask.filters.append(f"#status IN ({', '.join(places)})")
        ask.names["#status"] = "status"
        ask.values |= places


def _add_range(ask: _Expressions, low: str | None, high: str | None) -> None:
    if low is not None:
        ask.values[":low"] = {"S": low}
    if high is not None:
        ask.values[":high"] = {"S": high}
    if low is not None and high is not None:
        ask.key.append("sk BETWEEN :low AND :high")
    elif low is not None:
        ask.key.append("sk >= :low")
    elif high is not None:
        ask.key.append("sk <= :high")


def _bounds(query: HistoryQuery) -> tuple[str | None, str | None]:
    """Return the range of ids, both ends included, because DynamoDB allows one condition on the sort key."""
    low, high = query.filter.from_id, query.filter.to_id
    if query.after_id is not None and query.order is Order.ASC:
        low = query.after_id if low is None else max(low, query.after_id)
    elif query.after_id is not None:
        high = query.after_id if high is None else min(high, query.after_id)
    return low, high


def _is_within(query: HistoryQuery, interaction_id: str) -> bool:
    """Return whether the id is not an excluded end of the range."""
    to_id = query.filter.to_id
    return interaction_id != query.after_id and (to_id is None or interaction_id < to_id)


def _limit(query: HistoryQuery) -> int:
    """Return how many items one query reads: DynamoDB applies the limit before the filter.

    Nearly all interactions have an answer; those of one provider or status may be few.
    """
    wanted = query.filter
    is_sifted = (
        wanted.provider is not None
        or 0 < len(wanted.statuses) < len(Status)
        or (wanted.model is not None and wanted.conversation_id is not None)
    )
    return query.limit * OVER_READING + 1 if is_sifted else query.limit + query.limit // 4 + 2

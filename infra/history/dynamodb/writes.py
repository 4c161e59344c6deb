"""Writes of interactions to the DynamoDB table."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from domain.entities.interaction import replaced_by
from infra.history.dynamodb.items import Row
from infra.storage.aws.dynamodb_table import Item, Table, gather_all
from infra.storage.aws.errors import code_of

_IS_FREE = "attribute_not_exists(pk)"


async def insert(table: Table, rows: Sequence[Row]) -> None:
    """Write rows: erased interactions stay erased, and existing ones stay unless a row `replaces` them.

    Raises:
        Unstorable: Some can never be stored; all others are stored.
        HistoryUnavailable: Some were not stored.
    """
    by_key: dict[tuple[str, str], Row] = {}
    for row in rows:
        there = by_key.get((row.user_id, row.id))
        if there is None or there.status in replaced_by(row.status):
            by_key[row.user_id, row.id] = row
    whole = [row for row in by_key.values() if not row.parts]
    await gather_all(
        _insert_whole(table, whole),
        *(_insert_in_parts(table, row) for row in by_key.values() if row.parts),
    )


async def _insert_whole(table: Table, rows: Sequence[Row]) -> None:
    taken = await table.insert_many([row.item for row in rows])
    replacing = {
        (item["pk"]["S"], item["sk"]["S"]): item for item in taken if replaced_by(_status_of(item))
    }
    if not replacing:
        return
    keys = [{"pk": item["pk"], "sk": item["sk"]} for item in replacing.values()]
    for there in await table.get_many(keys, only=("pk", "sk", "status")):
        item = replacing[there["pk"]["S"], there["sk"]["S"]]
        if "status" in there and _status_of(there) in replaced_by(_status_of(item)):
            await _replace(table, item)


async def _replace(table: Table, item: Item) -> None:
    try:
        await table.call("put_item", Item=item, **_only_replaced_by(_status_of(item)))
    except ClientError as exc:
        # Another writer has replaced or erased it meanwhile, which takes precedence.
        if code_of(exc) != "ConditionalCheckFailedException":
            raise


async def _insert_in_parts(table: Table, row: Row) -> None:
    condition: dict[str, Any] = {"ConditionExpression": _IS_FREE}
    if replaced_by(row.status):
        condition = _only_replaced_by(row.status)
        condition["ConditionExpression"] = f"{_IS_FREE} OR {condition['ConditionExpression']}"
    await table.put_together(
        [{"Item": row.item, **condition}, *({"Item": part} for part in row.parts)]
    )


def _only_replaced_by(status: str) -> dict[str, Any]:
    """Return the condition that the stored item has a status that `status`, which replaces some, replaces."""
    values = {
        f":status{n}": {"S": each.value} for n, each in enumerate(sorted(replaced_by(status)))
    }
    return {
        "ConditionExpression": f"#status IN ({', '.join(values)})",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": values,
    }


def _status_of(item: Item) -> str:
    return str(item["status"]["S"])

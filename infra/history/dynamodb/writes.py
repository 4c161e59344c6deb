"""Writes of interactions to the DynamoDB table."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from domain.entities.interaction import Status
from infra.history.dynamodb.items import Row
from infra.storage.aws.dynamodb_table import Table, gather_all
from infra.storage.aws.errors import code_of

_INTERRUPTED = Status.INTERRUPTED.value
_ONLY_INTERRUPTED: dict[str, Any] = {
    "ConditionExpression": "#status = :interrupted",
    "ExpressionAttributeNames": {"#status": "status"},
    "ExpressionAttributeValues": {":interrupted": {"S": _INTERRUPTED}},
}
_FREE: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
_FREE_OR_INTERRUPTED: dict[str, Any] = _ONLY_INTERRUPTED | {
    "ConditionExpression": "attribute_not_exists(pk) OR #status = :interrupted"
}


async def insert(table: Table, rows: Sequence[Row]) -> None:
    """Write rows: existing and erased interactions stay so; an outcome replaces `interrupted`.

    Raises:
        Unstorable: Some will never be kept; all others are.
        HistoryUnavailable: Some were not kept.
    """
    by_key: dict[tuple[str, str], Row] = {}
    for row in rows:
        there = by_key.get((row.user_id, row.id))
        if there is None or (there.status == _INTERRUPTED != row.status):
            by_key[row.user_id, row.id] = row
    whole = [row for row in by_key.values() if not row.parts]
    await gather_all(
        _insert_whole(table, whole),
        *(_insert_in_parts(table, row) for row in by_key.values() if row.parts),
    )


async def _insert_whole(table: Table, rows: Sequence[Row]) -> None:
    taken = await table.insert_many([row.item for row in rows])
    outcomes = {
        (item["pk"]["S"], item["sk"]["S"]): item
        for item in taken
        if item["status"]["S"] != _INTERRUPTED
    }
    if not outcomes:
        return
    keys = [{"pk": item["pk"], "sk": item["sk"]} for item in outcomes.values()]
    for there in await table.get_many(keys, only=("pk", "sk", "status")):
        if there.get("status", {}).get("S") == _INTERRUPTED:
            await _replace(table, outcomes[there["pk"]["S"], there["sk"]["S"]])


async def _replace(table: Table, item: dict[str, Any]) -> None:
    try:
        await table.call("put_item", Item=item, **_ONLY_INTERRUPTED)
    except ClientError as exc:
        # Another writer has replaced or erased it meanwhile, which takes precedence.
        if code_of(exc) != "ConditionalCheckFailedException":
            raise


async def _insert_in_parts(table: Table, row: Row) -> None:
    condition = _FREE if row.status == _INTERRUPTED else _FREE_OR_INTERRUPTED
    await table.put_together(
        [{"Item": row.item, **condition}, *({"Item": part} for part in row.parts)]
    )

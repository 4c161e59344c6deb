"""Tombstones in the DynamoDB table, which late writes lose against.

The tombstone of one interaction takes the place of its item, so that no insert succeeds. The tombstone of all of a
user's interactions is a separate item, which writers read after writing. Tombstones never expire: a host that returns
after months may still hold erased interactions.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from infra.history.dynamodb.items import (
    Row,
    is_erased,
    key_of,
    mark_key,
    part_keys_of,
)
from infra.storage.aws.dynamodb_table import Item, Table
from infra.storage.aws.errors import code_of


async def erase_one(table: Table, user_id: str, interaction_id: str) -> None:
    """Replace the interaction by a tombstone, and delete its parts."""
    await table.call("put_item", Item=key_of(user_id, interaction_id) | {"erased": {"BOOL": True}})
    # All parts, whatever the item says: a second call completes an interrupted one.
    async for parts in _keys(table, f"P#{user_id}", "begins_with(sk, :sk)", f"{interaction_id}#"):
        await table.delete_many([_key(part) for part in parts])


async def erase_all(table: Table, user_id: str, before_id: str) -> int:
    """Mark all of the user's interactions below `before_id` as erased, delete them, and return their number."""
    await _mark(table, user_id, before_id)
    erased = 0
    async for found in _keys(table, f"U#{user_id}", "sk < :sk", before_id):
        await table.delete_many([_key(item) for item in found])
        erased += sum([not is_erased(item) for item in found])
    async for parts in _keys(table, f"P#{user_id}", "sk < :sk", before_id):
        await table.delete_many([_key(part) for part in parts])
    return erased


async def remove_erased(table: Table, rows: Sequence[Row]) -> None:
    """Delete rows below a tombstone of all of a user's: read after the write, so that an erasure wins in either order."""
    before_ids = await first_living_ids(table, {row.user_id for row in rows})
    lost: dict[str, Item] = {}
    for row in rows:
        if row.id < before_ids.get(row.user_id, ""):
            for key in (row.key, *part_keys_of(row.item)):
                lost[f"{key['pk']['S']} {key['sk']['S']}"] = key
    if lost:
        await table.delete_many(lost.values())


async def first_living_id(table: Table, user_id: str) -> str:
    """Return the id below which all of the user's interactions are erased; empty if none are.

    Readers apply it too: a late copy exists for a moment before its writer removes it.
    """
    return (await first_living_ids(table, {user_id})).get(user_id, "")


async def first_living_ids(table: Table, user_ids: Iterable[str]) -> dict[str, str]:
    """Return that id of those users whose history was erased."""
    marks = await table.get_many([mark_key(user_id) for user_id in user_ids])
    return {mark["pk"]["S"].removeprefix("E#"): mark["before"]["S"] for mark in marks}


async def erased_among(table: Table, user_id: str, interaction_ids: Iterable[str]) -> set[str]:
    """Return which of the user's interactions were erased."""
    ids = set(interaction_ids)
    before_id = await first_living_id(table, user_id)
    open_ids = [interaction_id for interaction_id in ids if interaction_id >= before_id]
    marks = await table.get_many(
        [key_of(user_id, interaction_id) for interaction_id in open_ids], only=("sk", "erased")
    )
    return ids.difference(open_ids) | {item["sk"]["S"] for item in marks if is_erased(item)}


async def _mark(table: Table, user_id: str, before_id: str) -> None:
    try:
        await table.call(
            "update_item",
            Key=mark_key(user_id),
            UpdateExpression="SET #before = :before",
            ConditionExpression="attribute_not_exists(#before) OR #before < :before",
            ExpressionAttributeNames={"#before": "before"},
            ExpressionAttributeValues={":before": {"S": before_id}},
        )
    except ClientError as exc:
        # A later erasure includes this one.
        if code_of(exc) != "ConditionalCheckFailedException":
            raise


async def _keys(table: Table, pk: str, range_of_sk: str, sk: str) -> AsyncIterator[list[Item]]:
    """Yield the items of one partition whose sort key is in the range, page by page, with keys and `erased` only."""
    start: dict[str, Any] = {}
    while True:
        page = await table.call(
            "query",
            KeyConditionExpression=f"pk = :pk AND {range_of_sk}",
            ExpressionAttributeValues={":pk": {"S": pk}, ":sk": {"S": sk}},
            ProjectionExpression="pk, sk, erased",
            ConsistentRead=True,
            **start,
        )
        if page["Items"]:
            yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _key(item: Item) -> Item:
    return {"pk": item["pk"], "sk": item["sk"]}

"""Records of conversations in the DynamoDB table.

    pk           sk                 holds
    R#<user>     <conversation>     a record

They are in none of the indexes, and copies of interactions leave their partitions out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from domain.entities.conversation import ConversationRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from infra.history.dynamodb.items import MAX_BODY_BYTES
from infra.history.dynamodb.tombstones import first_living_id, first_living_ids
from infra.history.format.compression import compressed, decompressed
from infra.history.format.conversation_records import json_of_record, record_in
from infra.history.store.retention import Retention
from infra.storage.aws.dynamodb_table import Item, Table
from infra.storage.aws.errors import translate_errors

WRITE_SECONDS = 10.0
LIST_SECONDS = 60.0

_SERVICE = "DynamoDB"


class DynamoConversationRecords(ConversationRecords):
    """One item for each record, its body compressed.

    Args:
        table: Of history.
        clock: Hides the titles of records that the table has not removed yet.
        reading: Raises errors of reads as `HistoryUnreadable` or `HistoryDamaged`.
        read_seconds: Time limit of a read.
        retention: Time to expiry.
    """

    def __init__(
        self,
        table: Table,
        clock: Clock,
        *,
        reading: Callable[[], AbstractContextManager[None]],
        read_seconds: float,
        retention: Retention,
    ) -> None:
        self._table = table
        self._clock = clock
        self._reading = reading
        self._read_seconds = read_seconds
        self._retention = retention

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        with self._reading():
            async with asyncio.timeout(self._read_seconds):
                answer = await self._table.call(
                    "get_item", Key=_key(user_id, conversation_id), ConsistentRead=True
                )
                living = await self._living([answer["Item"]] if "Item" in answer else [])
                return await _record(living[0]) if living else None

    async def put(self, record: ConversationRecord) -> None:
        key = _key(record.user_id, record.conversation_id)
        item = key | {
            "createdId": {"S": record.created_id},
            "body": {"B": await compressed(json_of_record(record))},
        }
        if record.title:
            item["title"] = {"S": record.title}
        expires_milliseconds = self._retention.expires_milliseconds(record.changed_id)
        if expires_milliseconds is not None:
            item["expiresAt"] = {"N": str(expires_milliseconds // 1000)}
        with translate_errors(HistoryUnavailable, _SERVICE):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._table.call("put_item", Item=item)
                # Read after the write, so that an erasure wins in either order.
                if record.created_id < await first_living_id(self._table, record.user_id):
                    await self._table.call("delete_item", Key=key)

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        keys = [_key(user_id, conversation_id) for conversation_id in conversation_ids]
        with self._reading():
            async with asyncio.timeout(self._read_seconds):
                found = await self._living(
                    await self._table.get_many(
                        keys, only=("pk", "sk", "title", "createdId", "expiresAt")
                    )
                )
        now_seconds = self._clock.now_milliseconds() // 1000
        return {
            item["sk"]["S"]: item["title"]["S"]
            for item in found
            if "title" in item
            and ("expiresAt" not in item or int(item["expiresAt"]["N"]) > now_seconds)
        }

    async def erase(self, user_id: str, conversation_id: str) -> None:
        with translate_errors(HistoryUnreadable, _SERVICE):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._table.call("delete_item", Key=_key(user_id, conversation_id))

    async def erase_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        asked = _of_user(user_id) | {"ProjectionExpression": "pk, sk, createdId"}
        with translate_errors(HistoryUnreadable, _SERVICE):
            async for items in self._pages("query", asked):
                await self._table.delete_many(
                    {"pk": item["pk"], "sk": item["sk"]}
                    for item in items
                    if item["createdId"]["S"] < before_id
                )

    async def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        operation, asked = "query", _of_user(user_id or "")
        if user_id is None:
            operation = "scan"
            asked = {
                "FilterExpression": "begins_with(pk, :records)",
                "ExpressionAttributeValues": {":records": {"S": "R#"}},
            }
        with self._reading():
            async for items in self._pages(operation, asked):
                for item in await self._living(items):
                    yield await _record(item)

    async def _living(self, items: Sequence[Item]) -> list[Item]:
        """Return the records that no erasure of their user covers.

        An erasure by an earlier version, or one that did not end, leaves records behind.
        """
        users = {_user_of(item) for item in items}
        if not users:
            return []
        first_ids = await first_living_ids(self._table, users)
        return [
            item for item in items if item["createdId"]["S"] >= first_ids.get(_user_of(item), "")
        ]

    async def _pages(self, operation: str, asked: dict[str, Any]) -> AsyncIterator[list[Item]]:
        while True:
            async with asyncio.timeout(LIST_SECONDS):
                page = await self._table.call(operation, ConsistentRead=True, **asked)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            asked = asked | {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def _record(item: Item) -> ConversationRecord:
    return record_in(await decompressed(item["body"]["B"], max_bytes=MAX_BODY_BYTES))


def _key(user_id: str, conversation_id: str) -> Item:
    return {"pk": {"S": f"R#{user_id}"}, "sk": {"S": conversation_id}}


def _user_of(item: Item) -> str:
    return str(item["pk"]["S"]).removeprefix("R#")


def _of_user(user_id: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": f"R#{user_id}"}},
    }

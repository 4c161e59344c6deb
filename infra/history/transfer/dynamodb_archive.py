"""All contents of a DynamoDB table, for copies."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.interfaces.history_archive import HistoryArchive
from infra.history.dynamodb.item_reader import bodies_in
from infra.history.dynamodb.items import is_erased, key_of
from infra.history.dynamodb.store import DynamoHistory
from infra.history.format.documents import interaction_in, record_holding
from infra.history.transfer.replay_erasures import apply_tombstones
from infra.storage.aws.dynamodb_table import Item

SECONDS = 60.0

_EVERYTHING: dict[str, Any] = {
    "FilterExpression": "begins_with(pk, :interactions) OR begins_with(pk, :erasures)",
    "ExpressionAttributeValues": {":interactions": {"S": "U#"}, ":erasures": {"S": "E#"}},
}


class DynamoArchive(HistoryArchive):
    """Scans the table in DynamoDB's order, with a single reader to spare its capacity for the service."""

    batch_size = 500

    def __init__(self, history: DynamoHistory) -> None:
        self._history = history
        self._table = history.table

    async def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        operation, asked = "scan", dict(_EVERYTHING)
        if user_id is not None:
            operation = "query"
            asked = {
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": f"U#{user_id}"}},
            }
        if after is not None:
            asked["ExclusiveStartKey"] = key_of(*after)
        while True:
            with self._history.reading():
                async with asyncio.timeout(SECONDS):
                    answer = await self._table.call(operation, ConsistentRead=True, **asked)
                    records = await self._records(answer["Items"])
            yield ArchivePage(
                records=records,
                erasures=[] if user_id is not None else _erasures_in(answer["Items"]),
            )
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def estimated_count(self) -> int:
        with self._history.reading():
            async with asyncio.timeout(SECONDS):
                answer = await self._table.call("describe_table")
        return int(answer["Table"].get("ItemCount", 0))

    async def write(self, records: Sequence[Record]) -> None:
        await self._history.insert([(interaction_in(record), record.body) for record in records])

    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        with self._history.reading():
            async with asyncio.timeout(SECONDS):
                found = await self._table.get_many([key_of(*key) for key in set(keys)])
                return await self._records(found)

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return await self._history.erased_among(user_id, interaction_ids)

    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        await apply_tombstones(self._history, erasures)

    async def _records(self, items: Sequence[Item]) -> list[Record]:
        kept = [item for item in items if item["pk"]["S"].startswith("U#")]
        return [record_holding(body) for body in await bodies_in(self._table, kept)]


def _erasures_in(items: Sequence[Item]) -> list[Tombstone]:
    erasures: list[Tombstone] = []
    for item in items:
        kind, _, user_id = item["pk"]["S"].partition("#")
        if kind == "E":
            erasures.append(Tombstone(user_id=user_id, before_id=item["before"]["S"]))
        elif is_erased(item):
            erasures.append(Tombstone(user_id=user_id, interaction_id=item["sk"]["S"]))
    return erasures

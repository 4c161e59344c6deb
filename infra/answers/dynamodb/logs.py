"""Reads and writes of event logs in the DynamoDB table.

Fencing: every append is one conditional put at the next position, and a new lease takes the next position before it
writes. A put of an older lease then finds its position taken.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from botocore.exceptions import ClientError

from domain.entities.background.answer import AnswerKey, AnswerLease
from domain.entities.background.log import LeaseState
from domain.exceptions import LeaseLost
from infra.answers.chunks import Chunk, Stored
from infra.answers.dynamodb.items import (
    LEASE_PARTITIONS,
    blank_item,
    blank_of,
    chunk_in,
    chunk_items,
    chunk_key,
    chunks_in,
    header_key,
    header_partition,
    is_chunk,
    key_of_lease,
    lease_key,
    request_items,
    request_key,
)
from infra.answers.dynamodb.positions import Positions
from infra.answers.logs import (
    ERASED_AT_ONCE,
    ERASED_EPOCH,
    Found,
    SharedLogs,
    StoredChunk,
    Taken,
    lease_state,
)
from infra.storage.aws.dynamodb_table import Item, Table, gather_all
from infra.storage.aws.errors import code_of

LONGEST_ANSWER_SECONDS = 7 * 86_400.0
"""Added to the expiry of chunks, which are written before the end of the log, from which its retention counts: setting the
expiry at the end would write each chunk twice."""
LATE_REMOVAL_SECONDS = 7 * 86_400.0
"""DynamoDB removes expired items within a few days, in no order. A log can be erased only while its item is there, which
therefore expires so much later than the chunks."""
CALLS_AT_ONCE = 8

_FREE = {"ConditionExpression": "attribute_not_exists(pk)"}
_ITS_LEASE = "epoch = :epoch AND attribute_not_exists(givenUp)"


class DynamoLogs(SharedLogs):
    """The logs in one table."""

    def __init__(self, table: Table, *, keep_seconds: float) -> None:
        self._table = table
        self._keep_seconds = keep_seconds
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._positions = Positions()

    async def begin(
        self, key: AnswerKey, request: bytes, *, now_milliseconds: int, lease_until: int
    ) -> bool:
        parts = request_items(key, request)
        header = header_key(key) | {
            "begun": _number(now_milliseconds),
            "requestParts": _number(len(parts)),
        }
        lease = lease_key(key) | {
            "epoch": _number(1),
            "takeovers": _number(0),
            "leaseUntil": _number(lease_until),
        }
        return await self._table.put_together(
            [
                {"Item": header, **_FREE},
                {"Item": lease},
                *({"Item": part} for part in parts),
            ]
        )

    async def put(self, chunk: Chunk, now_milliseconds: int) -> Stored:
        items = chunk_items(
            chunk,
            written_milliseconds=now_milliseconds,
            expires_seconds=self._expires_seconds(now_milliseconds),
        )
        stored = chunk_in(items[0])
        if not await self._put_free(items):
            there = await self._chunk(chunk.key, chunk.position)
            if there is None or there.epoch != chunk.epoch:
                raise LeaseLost
            stored = there
        if stored.is_last:
            await self._finish(chunk.key, stored.next_number, now_milliseconds)
        return Stored(stored.count, stored.next_number)

    async def renew(self, leases: Sequence[AnswerLease], lease_until: int) -> list[LeaseState]:

        async def renewed(lease: AnswerLease) -> LeaseState:
            async with self._slots:
                item = await self._update(
                    lease_key(lease.key),
                    "SET leaseUntil = :until",
                    _ITS_LEASE,
                    {":until": lease_until, ":epoch": lease.epoch},
                )
            return _state_of(lease, item)

        return await gather_all(*(renewed(lease) for lease in leases))

    async def states(self, leases: Sequence[AnswerLease]) -> list[LeaseState]:
        keys = {lease.key: lease_key(lease.key) for lease in leases}
        items = {key_of_lease(item): item for item in await self._table.get_many(keys.values())}
        return [_state_of(lease, items.get(lease.key)) for lease in leases]

    async def give_up(self, lease: AnswerLease, now_milliseconds: int) -> None:
        await self._update(
            lease_key(lease.key),
            "SET givenUp = :true, leaseUntil = :now",
            _ITS_LEASE,
            {":true": True, ":now": now_milliseconds, ":epoch": lease.epoch},
        )

    async def abandoned(self, now_milliseconds: int, limit: int) -> list[AnswerKey]:
        found = await gather_all(
            *(self._ended_leases(partition, now_milliseconds) for partition in LEASE_PARTITIONS)
        )
        leases = sorted(
            (lease for leases in found for lease in leases),
            key=lambda lease: int(lease["leaseUntil"]["N"]),
        )
        return [key_of_lease(lease) for lease in leases[:limit]]

    async def take_over(
        self,
        key: AnswerKey,
        *,
        now_milliseconds: int,
        lease_until: int,
        on_lease: Callable[[AnswerLease], None],
    ) -> Taken | None:
        seen = await self._get(lease_key(key))
        if seen is None or int(seen["leaseUntil"]["N"]) > now_milliseconds:
            return None
        taken = await self._update(
            lease_key(key),
            "SET epoch = epoch + :one, takeovers = takeovers + :count, leaseUntil = :until"
            " REMOVE givenUp",
            "epoch = :epoch AND leaseUntil = :seen",
            {
                ":one": 1,
                ":count": 0 if "givenUp" in seen else 1,
                ":until": lease_until,
                ":epoch": int(seen["epoch"]["N"]),
                ":seen": int(seen["leaseUntil"]["N"]),
            },
        )
        if taken is None:
            return None
        epoch = int(taken["epoch"]["N"])
        on_lease(AnswerLease(key=key, epoch=epoch))
        header = await self._get(header_key(key))
        if header is None or "erased" in header:
            await self._table.delete_many([lease_key(key)])
            return None
        chunks = chunks_in([item async for item in self._items(key, 0)])
        number = await self._fenced(key, epoch, chunks, now_milliseconds)
        if number is None:
            return None
        lease = AnswerLease(
            key=key,
            epoch=epoch,
            takeovers=int(taken["takeovers"]["N"]),
            next_position=chunks[-1].position + 2 if chunks else 1,
            next_number=number,
        )
        return Taken(
            lease=lease,
            is_stopped="stopped" in taken,
            begun_milliseconds=int(header["begun"]["N"]),
            request=await self._request(key),
            chunks=chunks,
        )

    async def find(
        self,
        key: AnswerKey,
        *,
        after: int,
        limit: int,
        with_request: bool,
        now_milliseconds: int,
    ) -> Found | None:
        header, items, request = await asyncio.gather(
            self._get(header_key(key)),
            self._items_after(key, self._positions.get(key, after), after=after, limit=limit),
            self._request(key) if with_request else _nothing(),
        )
        if header is None or "erased" in header:
            return None
        if "endedAt" in header:
            ended = int(header["endedAt"]["N"])
            if ended + round(self._keep_seconds * 1000) <= now_milliseconds:
                return None
        chunks = [chunk for chunk in chunks_in(items) if chunk.next_number > after + 1]
        self._positions.note(key, chunks, after=after, limit=limit)
        end_number = int(header["endNumber"]["N"]) if "endNumber" in header else None
        return Found(request=request, end_number=end_number, chunks=chunks)

    async def stop(self, key: AnswerKey) -> bool:
        item = await self._update(
            lease_key(key), "SET stopped = :true", "attribute_exists(pk)", {":true": True}
        )
        return item is not None

    async def erase(self, key: AnswerKey, now_milliseconds: int) -> None:
        header = await self._update(
            header_key(key), "SET erased = :begun", "attribute_exists(pk)", {":begun": "begun"}
        )
        if header is None:
            return
        await self._table.delete_many([lease_key(key)])
        expires_seconds = self._expires_seconds(now_milliseconds)
        await self._close(key, expires_seconds)
        removed: list[Item] = []
        blanked: list[Item] = []
        async for item in self._items_of(key, f"{key.interaction_id}!", keys_only=True):
            if is_chunk(item):
                blanked.append(blank_of(item, expires_seconds))
            else:
                removed.append({"pk": item["pk"], "sk": item["sk"]})
        await self._table.put_many(blanked)
        await self._table.delete_many(removed)
        await self._update(
            header_key(key),
            "SET erased = :done, expiresAt = :expires",
            "attribute_exists(pk)",
            {":done": "done", ":expires": expires_seconds},
        )

    async def to_erase(self, user_id: str, *, after_id: str, before_id: str) -> list[AnswerKey]:
        pages = self._pages(
            KeyConditionExpression="pk = :pk AND sk BETWEEN :start AND :before",
            ExpressionAttributeValues=_values(
                {":pk": header_partition(user_id), ":start": f"{after_id}!", ":before": before_id}
            ),
            ProjectionExpression="sk, erased",
            Limit=ERASED_AT_ONCE,
        )
        keys: list[AnswerKey] = []
        async with aclosing(pages):
            async for item in pages:
                if item.get("erased") != {"S": "done"} and item["sk"]["S"] < before_id:
                    keys.append(AnswerKey(user_id=user_id, interaction_id=item["sk"]["S"]))
                    if len(keys) == ERASED_AT_ONCE:
                        break
        return keys

    async def _fenced(
        self, key: AnswerKey, epoch: int, chunks: list[StoredChunk], now_milliseconds: int
    ) -> int | None:
        """Take the next position for a new lease and return the number of its first event; None if there is no more to do.

        Chunks that the older lease adds meanwhile are added to `chunks`.
        """
        while True:
            position = chunks[-1].position + 1 if chunks else 0
            number = chunks[-1].next_number if chunks else 0
            if chunks and chunks[-1].is_last:
                # its writer died between the last chunk and the end of the lease
                await self._finish(key, number, now_milliseconds)
                return None
            fence = blank_item(
                key,
                position=position,
                epoch=epoch,
                number=number,
                expires_seconds=self._expires_seconds(now_milliseconds),
            )
            if await self._put_free([fence]):
                return number
            there = await self._chunk(key, position)
            if there is not None and there.epoch == epoch and not there.count:
                return number  # the driver repeated the put
            if there is None or not ERASED_EPOCH < there.epoch < epoch:
                return None
            chunks.append(there)

    async def _close(self, key: AnswerKey, expires_seconds: int) -> None:
        """Take the next position of an erased log."""
        while True:
            last = await self._last_chunk(key)
            if last is not None and last.epoch == ERASED_EPOCH:
                return
            fence = blank_item(
                key,
                position=0 if last is None else last.position + 1,
                epoch=ERASED_EPOCH,
                number=0 if last is None else last.next_number,
                expires_seconds=expires_seconds,
            )
            await self._put_free([fence])

    async def _finish(self, key: AnswerKey, end_number: int, now_milliseconds: int) -> None:
        """End the lease of a log that has its last chunk, and let it expire."""
        header = await self._update(
            header_key(key),
            "SET endNumber = :number, endedAt = :now, expiresAt = :expires",
            "attribute_exists(pk) AND attribute_not_exists(erased)",
            {
                ":number": end_number,
                ":now": now_milliseconds,
                ":expires": round(self._expires_seconds(now_milliseconds) + LATE_REMOVAL_SECONDS),
            },
        )
        if header is not None:
            expires_seconds = round(now_milliseconds / 1000 + self._keep_seconds)
            for number in range(1, int(header["requestParts"]["N"]) + 1):
                await self._update(
                    request_key(key, number),
                    "SET expiresAt = :expires",
                    "attribute_exists(pk)",
                    {":expires": expires_seconds},
                )
        await self._table.delete_many([lease_key(key)])

    async def _put_free(self, items: Sequence[Item]) -> bool:
        """Put a chunk with its parts; return False if its position is taken."""
        if len(items) == 1:
            return await self._table.put_if_free(items[0])
        return await self._table.put_together(
            [{"Item": items[0], **_FREE}, *({"Item": part} for part in items[1:])]
        )

    async def _chunk(self, key: AnswerKey, position: int) -> StoredChunk | None:
        """Return the chunk at a position, with its parts."""
        chunks = await self._items_after(key, position, after=-1, limit=0, up_to=position)
        return chunks_in(chunks)[0] if chunks else None

    async def _last_chunk(self, key: AnswerKey) -> StoredChunk | None:
        """Return the last chunk, without its parts."""
        pages = self._items_of(key, f"{key.interaction_id}#", is_backwards=True, keys_only=True)
        async with aclosing(pages):
            async for item in pages:
                if is_chunk(item):
                    return chunk_in(item)
        return None

    async def _request(self, key: AnswerKey) -> bytes:
        parts = [
            item["body"]["B"]
            async for item in self._items_of(
                key, f"{key.interaction_id}!", up_to=f"{key.interaction_id}#"
            )
        ]
        return b"".join(parts)

    async def _items_after(
        self, key: AnswerKey, position: int, *, after: int, limit: int, up_to: int | None = None
    ) -> list[Item]:
        """Return the items of chunks from a position on, until they contain `limit` events after a number."""
        items: list[Item] = []
        last_number = -1
        pages = self._items(key, position)
        async with aclosing(pages):
            async for item in pages:
                if is_chunk(item):
                    if items and last_number - after >= limit:
                        break
                    chunk = chunk_in(item)
                    if up_to is not None and chunk.position > up_to:
                        break
                    last_number = chunk.next_number - 1
                items.append(item)
        return items

    def _items(self, key: AnswerKey, position: int) -> AsyncGenerator[Item, None]:
        return self._items_of(key, chunk_key(key, position)["sk"]["S"])

    async def _ended_leases(self, partition: str, now_milliseconds: int) -> list[Item]:
        pages = self._pages(
            KeyConditionExpression="pk = :pk",
            FilterExpression="leaseUntil <= :now",
            ExpressionAttributeValues=_values({":pk": partition, ":now": now_milliseconds}),
        )
        return [item async for item in pages]

    def _items_of(
        self,
        key: AnswerKey,
        start: str,
        *,
        up_to: str | None = None,
        is_backwards: bool = False,
        keys_only: bool = False,
    ) -> AsyncGenerator[Item, None]:
        """Yield items of a log from a sort key on."""
        parameters: dict[str, Any] = {}
        if is_backwards:
            parameters["ScanIndexForward"] = False
        if keys_only:  # and the numbers, but no bodies
            parameters["ProjectionExpression"] = "pk, sk, epoch, #first, #next, #count, isLast"
            parameters["ExpressionAttributeNames"] = {
                f"#{name}": name for name in ("first", "next", "count")
            }
        return self._pages(
            KeyConditionExpression="pk = :pk AND sk BETWEEN :start AND :end",
            ExpressionAttributeValues=_values(
                {
                    ":pk": f"A#{key.user_id}",
                    ":start": start,
                    ":end": f"{key.interaction_id}$" if up_to is None else up_to,
                }
            ),
            **parameters,
        )

    async def _pages(self, **parameters: Any) -> AsyncGenerator[Item, None]:
        start: dict[str, Any] = {}
        while True:
            page = await self._table.call("query", ConsistentRead=True, **parameters, **start)
            for item in page["Items"]:
                yield item
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def _get(self, key: Item) -> Item | None:
        answer = await self._table.call("get_item", Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    async def _update(
        self,
        key: Item,
        update: str,
        condition: str,
        values: Mapping[str, str | int | bool],
    ) -> Item | None:
        """Update an item and return it; None if the condition does not hold."""
        try:
            answer = await self._table.call(
                "update_item",
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=_values(values),
                ReturnValues="ALL_NEW",
            )
        except ClientError as exc:
            if code_of(exc) != "ConditionalCheckFailedException":
                raise
            return None
        item: Item = answer["Attributes"]
        return item

    def _expires_seconds(self, now_milliseconds: int) -> int:
        return round(now_milliseconds / 1000 + self._keep_seconds + LONGEST_ANSWER_SECONDS)


async def _nothing() -> None:
    return None


def _number(value: int) -> dict[str, Any]:
    return {"N": str(value)}


def _values(values: Mapping[str, str | int | bool]) -> Item:
    return {
        name: {"BOOL": value}
        if isinstance(value, bool)
        else _number(value)
        if isinstance(value, int)
        else {"S": value}
        for name, value in values.items()
    }


def _state_of(lease: AnswerLease, item: Item | None) -> LeaseState:
    if item is None:
        return LeaseState.LOST
    return lease_state(
        is_held=int(item["epoch"]["N"]) == lease.epoch and "givenUp" not in item,
        is_stopped="stopped" in item,
    )

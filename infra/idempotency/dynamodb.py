"""Idempotency records in the DynamoDB table, for all hosts that share it.

pk           sk            holds
K#<user>     <digest>      a record; the table's time to live removes it
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryError, IdempotencyUnavailable
from domain.interfaces.idempotency import IdempotencyStore
from infra.storage.aws.dynamodb_table import Item, Table
from infra.storage.aws.errors import code_of

CALL_SECONDS = 4.0

_TRIES = 3
_REFUSED = "ConditionalCheckFailedException"


class DynamoIdempotency(IdempotencyStore):
    """One item for each key, written conditionally, so that one of several concurrent claims succeeds."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        item = _key(key) | _fields(claim)
        async with _calling():
            for _ in range(_TRIES):
                if await self._put(
                    item, "attribute_not_exists(pk) OR expiresMs <= :now", now=now_milliseconds
                ):
                    return None
                answer = await self._table.call("get_item", Key=_key(key), ConsistentRead=True)
                if "Item" in answer:
                    return _claim(answer["Item"])
        raise IdempotencyUnavailable("other requests keep claiming and releasing the key")

    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        async with _calling():
            return await self._put(
                _key(key) | _fields(claim), _EXACTLY, id=seen.interaction_id, lease=_lease(seen)
            )

    async def release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        async with _calling():
            await self._conditionally(
                "delete_item",
                _EXACTLY,
                {"Key": _key(key)},
                {"id": claim.interaction_id, "lease": _lease(claim)},
            )

    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        await self._forget(user_id, lambda found: found == interaction_id)

    async def forget_user(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        await self._forget(user_id, lambda found: found < before_id)

    async def _forget(self, user_id: str, is_wanted: Callable[[str], bool]) -> None:
        """Delete the user's records whose interaction id is wanted."""
        start: dict[str, Any] = {}
        async with _calling():
            while True:
                page = await self._table.call(
                    "query",
                    KeyConditionExpression="pk = :pk",
                    ExpressionAttributeValues={":pk": {"S": f"K#{user_id}"}},
                    ProjectionExpression="pk, sk, interactionId",
                    ConsistentRead=True,
                    **start,
                )
                await self._table.delete_many(
                    {"pk": item["pk"], "sk": item["sk"]}
                    for item in page["Items"]
                    if is_wanted(item["interactionId"]["S"])
                )
                if "LastEvaluatedKey" not in page:
                    return
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def _put(self, item: Item, condition: str, **values: str | int) -> bool:
        return await self._conditionally("put_item", condition, {"Item": item}, values)

    async def _conditionally(
        self,
        operation: str,
        condition: str,
        parameters: dict[str, Any],
        values: dict[str, str | int],
    ) -> bool:
        """Call `operation` under `condition`; return whether the condition held."""
        try:
            await self._table.call(
                operation,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value}
                    for name, value in values.items()
                },
                **parameters,
            )
        except ClientError as exc:
            if code_of(exc) != _REFUSED:
                raise
            return False
        return True


_EXACTLY = "interactionId = :id AND leaseUntilMs = :lease"


def _lease(claim: IdempotencyRecord) -> int:
    return claim.lease_until_milliseconds


def _key(key: IdempotencyKey) -> Item:
    return {"pk": {"S": f"K#{key.user_id}"}, "sk": {"S": key.digest}}


def _fields(claim: IdempotencyRecord) -> Item:
    return {
        "fingerprint": {"S": claim.fingerprint},
        "interactionId": {"S": claim.interaction_id},
        "leaseUntilMs": {"N": str(claim.lease_until_milliseconds)},
        "expiresMs": {"N": str(claim.expires_milliseconds)},
        "expiresAt": {
            "N": str(-(-claim.expires_milliseconds // 1000))
        },  # for the table, in seconds
    }


def _claim(item: Item) -> IdempotencyRecord:
    return IdempotencyRecord(
        fingerprint=item["fingerprint"]["S"],
        interaction_id=item["interactionId"]["S"],
        lease_until_milliseconds=int(item["leaseUntilMs"]["N"]),
        expires_milliseconds=int(item["expiresMs"]["N"]),
    )


@asynccontextmanager
async def _calling() -> AsyncIterator[None]:
    """Raise the driver's errors and timeouts as `IdempotencyUnavailable`."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (BotoCoreError, ClientError, HistoryError, TimeoutError) as exc:
        raise IdempotencyUnavailable("DynamoDB does not answer as it should") from exc

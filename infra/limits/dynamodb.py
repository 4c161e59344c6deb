"""Counters of callers in the DynamoDB table.

pk              sk           holds
L#<digest>      R            the bucket of requests; the table's time to live removes it
L#<digest>      T#<day>      the tokens of a day; likewise
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.limits.counters import (
    NANOSECONDS,
    CountersUnavailable,
    GrantedRequests,
    GrantedTokens,
    RequestRate,
    SharedCounters,
    TokenChange,
    digest,
)
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Item, Table
from infra.storage.aws.errors import code_of

_REFUSED = "ConditionalCheckFailedException"
_KEEP_SECONDS = 300
_DAY_SECONDS = 86_400
_MOST_REMEMBERED = 10_000


class DynamoCounters(SharedCounters):
    """One item for each bucket and each day's budget, changed by conditional updates.

    An update is tried as if the bucket were as it was last seen here, which mostly costs one write. Only when its
    condition fails is the item read.
    """

    def __init__(self, table: Table, *, call_seconds: float) -> None:
        self._call_seconds = call_seconds
        self._table = table
        self._full_at: dict[str, int] = {}

    async def take_requests(
        self, name: str, rate: RequestRate, *, wanted: int, now: int
    ) -> GrantedRequests:
        key = _key(name, "R")
        granted = min(wanted, rate.requests_per_minute)
        is_full = self._full_at.get(name, 0) <= now
        async with _calling(self._call_seconds):
            while True:
                added = granted * rate.interval
                if is_full:
                    update, values = "fullAt = :full", {"full": now + added}
                    condition = "attribute_not_exists(fullAt) OR fullAt <= :now"
                else:
                    most = now + rate.window - added
                    update, values = "fullAt = fullAt + :added", {"added": added, "most": most}
                    condition = "fullAt > :now AND fullAt <= :most"
                changed = await self._changed(
                    key,
                    f"SET {update}, expiresAt = :expires",
                    condition,
                    now=now,
                    expires=now // NANOSECONDS + _KEEP_SECONDS,
                    **values,
                )
                if changed is not None:
                    full_at = int(changed["fullAt"]["N"])
                    break
                full_at = await self._read(key, "fullAt")
                if rate.is_ahead(full_at, now):
                    full_at = await self._set_back(key, full_at, now + rate.window)
                is_full = full_at <= now
                granted = min(wanted, rate.available(full_at, now))
                if not granted:
                    break
        self._remember(name, full_at)
        return GrantedRequests(granted, full_at - now)

    async def change_tokens(self, name: str, day: int, change: TokenChange) -> GrantedTokens:
        key = _key(name, f"T#{day}")
        expires = (day + 2) * _DAY_SECONDS
        granted = _granted(change, change.budget + change.returned)
        async with _calling(self._call_seconds):
            while True:
                condition, values = None, {}
                if granted:
                    condition = "attribute_not_exists(taken) OR taken <= :most"
                    values = {"most": change.budget + change.returned - granted}
                changed = await self._changed(
                    key,
                    "SET expiresAt = :expires ADD taken :added, spent :spent",
                    condition,
                    expires=expires,
                    added=granted - change.returned,
                    spent=change.spent,
                    **values,
                )
                if changed is not None:
                    return GrantedTokens(
                        granted=granted,
                        left=change.budget - int(changed["taken"]["N"]),
                        unspent=change.budget - int(changed["spent"]["N"]),
                    )
                left = change.budget + change.returned - await self._read(key, "taken")
                granted = _granted(change, left)

    def _remember(self, name: str, full_at: int) -> None:
        if len(self._full_at) >= _MOST_REMEMBERED:
            self._full_at.clear()
        self._full_at[name] = full_at

    async def _changed(
        self, key: Item, update: str, condition: str | None, **values: int
    ) -> Item | None:
        """Update the item and return its new attributes; None if the condition does not hold."""
        conditions: dict[str, Any] = {}
        if condition is not None:
            conditions["ConditionExpression"] = condition
        try:
            answer = await self._table.call(
                "update_item",
                Key=key,
                UpdateExpression=update,
                ExpressionAttributeValues={
                    f":{name}": {"N": str(value)} for name, value in values.items()
                },
                ReturnValues="ALL_NEW",
                **conditions,
            )
        except ClientError as exc:
            if code_of(exc) != _REFUSED:
                raise
            return None
        attributes: Item = answer["Attributes"]
        return attributes

    async def _set_back(self, key: Item, seen: int, full_at: int) -> int:
        """Replace the time that the bucket is full, unless it has changed meanwhile; return the new one."""
        await self._changed(key, "SET fullAt = :full", "fullAt = :seen", full=full_at, seen=seen)
        return full_at

    async def _read(self, key: Item, name: str) -> int:
        answer = await self._table.call("get_item", Key=key, ConsistentRead=True)
        return int(answer.get("Item", {}).get(name, {"N": "0"})["N"])


def _granted(change: TokenChange, left: int) -> int:
    return 0 if left < max(1, change.least) else min(change.wanted, left)


def _key(name: str, sort_key: str) -> Item:
    return {"pk": {"S": f"L#{digest(name)}"}, "sk": {"S": sort_key}}


@asynccontextmanager
async def _calling(seconds: float) -> AsyncIterator[None]:
    """Raise the driver's errors and timeouts as `CountersUnavailable`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (BotoCoreError, ClientError, TimeoutError) as exc:
        raise CountersUnavailable from exc


@asynccontextmanager
async def open_dynamo_counters(
    access: AwsAccess, *, table: str, call_seconds: float
) -> AsyncIterator[DynamoCounters]:
    """Count in a table, which is created with the history that shares it, with so many seconds for each call."""
    # One try: an update that is sent twice would count twice.
    async with open_client("dynamodb", access, tries=1, read_seconds=call_seconds) as dynamodb:
        yield DynamoCounters(Table(dynamodb, table), call_seconds=call_seconds)

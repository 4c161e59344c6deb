"""Batched calls of a DynamoDB table, with pauses when it throttles."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from domain.exceptions import HistoryUnavailable, Unstorable
from infra.storage.aws.client import AwsClient
from infra.storage.aws.errors import code_of

logger = logging.getLogger(__name__)

Item = dict[str, dict[str, Any]]
"""Attributes by name, each as `{type: value}`."""

T = TypeVar("T")
R = TypeVar("R")

GET_AT_ONCE = 100
WRITE_AT_ONCE = 25
CALLS_AT_ONCE = 8

_LONGEST_PAUSE_SECONDS = 1.0
_DUPLICATE = "DuplicateItem"
_TRANSIENT = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
"""Error codes of single items that a later try may store."""
_REFUSED_ITEM = frozenset({"ItemCollectionSizeLimitExceeded", "ValidationError"})
"""Error codes of single items that DynamoDB never stores."""
_REFUSED_CALL = frozenset(
    {"ItemCollectionSizeLimitExceededException", "SerializationException", "ValidationException"}
)
"""Error codes of calls about an item that DynamoDB never stores."""
_NO_STATEMENTS = frozenset({"AccessDeniedException", "UnknownOperationException"})
"""Error codes where PartiQL statements are forbidden by a policy, or unknown."""
_UNKNOWN_TO_EMULATOR = "500"
"""Error code of an emulator without PartiQL statements; from AWS itself it is transient."""
_REFUSAL = "DynamoDB refuses it"


class Table:
    """Calls one table; unprocessed items are sent again after a pause, until the caller's timeout."""

    def __init__(self, dynamodb: AwsClient, name: str) -> None:
        self._no_statements = _NO_STATEMENTS
        if dynamodb.is_emulator:
            self._no_statements |= {_UNKNOWN_TO_EMULATOR}
        self._dynamodb = dynamodb
        self._name = name
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._takes_statements = True

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the response to a call about this table."""
        return await self._dynamodb(operation, TableName=self._name, **parameters)

    async def get_many(self, keys: Iterable[Item], *, only: Sequence[str] = ()) -> list[Item]:
        """Return the existing items, read consistently, in any order.

        Args:
            keys: The keys, without duplicates.
            only: The attributes to return; empty returns all.
        """
        projection: dict[str, Any] = {}
        if only:
            projection = {
                "ProjectionExpression": ", ".join([f"#{name}" for name in only]),
                "ExpressionAttributeNames": {f"#{name}": name for name in only},
            }
        found = await self._in_chunks(keys, GET_AT_ONCE, lambda chunk: self._get(chunk, projection))
        return [item for chunk in found for item in chunk]

    async def delete_many(self, keys: Iterable[Item]) -> None:
        """Delete items; missing ones are ignored."""
        await self._in_chunks(
            [{"DeleteRequest": {"Key": key}} for key in keys], WRITE_AT_ONCE, self._write
        )

    async def put_many(self, items: Iterable[Item]) -> None:
        """Put items; existing ones are replaced."""
        await self._in_chunks(
            [{"PutRequest": {"Item": item}} for item in items], WRITE_AT_ONCE, self._write
        )

    async def put_if_free(self, item: Item) -> bool:
        """Put one item if its key is free; return whether it was.

        Raises:
            Unstorable: DynamoDB never stores it.
        """
        try:
            await self.call("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as exc:
            if code_of(exc) in _REFUSED_CALL:
                raise Unstorable(_REFUSAL) from exc
            if code_of(exc) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    async def insert_many(self, items: Iterable[Item]) -> list[Item]:
        """Insert the items with a free key, and return the others.

        Raises:
            Unstorable: DynamoDB never stores some of them; all others are stored.
            HistoryUnavailable: Some were not stored.
        """
        taken = await self._in_chunks(items, WRITE_AT_ONCE, self._insert)
        return [item for chunk in taken for item in chunk]

    async def put_together(self, puts: Sequence[dict[str, Any]]) -> bool:
        """Put all items or none; return False when the first item's condition does not hold.

        Raises:
            Unstorable: DynamoDB never stores one of them.
            HistoryUnavailable: The transaction was refused for another reason.
        """
        transaction = [{"Put": {"TableName": self._name, **put}} for put in puts]
        pause = _Pause()
        while True:
            try:
                await self._dynamodb("transact_write_items", TransactItems=transaction)
                return True
            except ClientError as exc:
                reasons = exc.response.get("CancellationReasons")
                if not reasons:
                    if code_of(exc) in _REFUSED_CALL:
                        raise Unstorable(_REFUSAL) from exc
                    raise
                codes = {reason["Code"] for reason in reasons}
                if reasons[0]["Code"] == "ConditionalCheckFailed":
                    return False
                if codes & _REFUSED_ITEM:
                    raise Unstorable(_REFUSAL) from exc
                if not codes <= _TRANSIENT | {"None"}:
                    raise HistoryUnavailable("DynamoDB refuses a transaction") from exc
            await pause()

    async def _get(self, keys: list[Item], projection: dict[str, Any]) -> list[Item]:
        found: list[Item] = []
        request = {self._name: {"Keys": keys, "ConsistentRead": True, **projection}}
        pause = _Pause()
        while True:
            answer = await self._dynamodb("batch_get_item", RequestItems=request)
            found += answer["Responses"].get(self._name, ())
            request = answer.get("UnprocessedKeys", {})
            if not request:
                return found
            await pause()

    async def _write(self, requests: list[dict[str, Any]]) -> None:
        request = {self._name: requests}
        pause = _Pause()
        while True:
            answer = await self._dynamodb("batch_write_item", RequestItems=request)
            request = answer.get("UnprocessedItems", {})
            if not request:
                return
            await pause()

    async def _insert(self, items: list[Item]) -> list[Item]:
        if self._takes_statements:
            try:
                return await self._insert_by_statements(items)
            except ClientError as exc:
                code = code_of(exc)
                if code in self._no_statements:
                    self._takes_statements = False
                    logger.warning(
                        "DynamoDB does not accept PartiQL statements: items are put one by one"
                    )
                elif code not in _REFUSED_CALL:  # caused by one item, which the single puts find
                    raise
        are_put = await gather_all(*(self.put_if_free(item) for item in items))
        return [item for item, is_put in zip(items, are_put, strict=True) if not is_put]

    async def _insert_by_statements(self, items: list[Item]) -> list[Item]:
        """Insert by PartiQL, the only batch that never overwrites an item, at a tenth of the cost of single puts."""
        taken: list[Item] = []
        is_refused = False
        pause = _Pause()
        while True:
            statements = [self._insertion(item) for item in items]
            answer = await self._dynamodb("batch_execute_statement", Statements=statements)
            errors = [
                (item, response["Error"]["Code"])
                for item, response in zip(items, answer["Responses"], strict=True)
                if "Error" in response
            ]
            taken += [item for item, code in errors if code == _DUPLICATE]
            items = [item for item, code in errors if code in _TRANSIENT]
            codes = {code for _, code in errors}
            if not codes <= _TRANSIENT | _REFUSED_ITEM | {_DUPLICATE}:
                raise HistoryUnavailable("DynamoDB refuses an item")
            is_refused = is_refused or not codes.isdisjoint(_REFUSED_ITEM)
            if not items:
                break
            await pause()
        if is_refused:
            raise Unstorable(_REFUSAL)
        return taken

    def _insertion(self, item: Item) -> dict[str, Any]:
        places = ", ".join([f"'{name}': ?" for name in item])
        return {
            "Statement": f'INSERT INTO "{self._name}" VALUE {{{places}}}',
            "Parameters": list(item.values()),
        }

    async def _in_chunks(
        self, items: Iterable[T], size: int, work: Callable[[list[T]], Awaitable[R]]
    ) -> list[R]:
        async def limited(chunk: list[T]) -> R:
            async with self._slots:
                return await work(chunk)

        return await gather_all(*(limited(chunk) for chunk in _chunks(items, size)))


async def gather_all(*works: Coroutine[Any, Any, R]) -> list[R]:
    """Run coroutines concurrently and return their results once all have ended.

    Raises:
        Unstorable: Some failed with it, and all others succeeded.
        Exception: The first other error.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, Unstorable)):
        raise error
    return [result for result in results if not isinstance(result, BaseException)]


class _Pause:
    """Waits for a pause that grows with each call, with full jitter."""

    def __init__(self) -> None:
        self._seconds = 0.05
        self._random = Random()  # noqa: S311 - jitter, not a secret

    async def __call__(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._seconds))
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE_SECONDS)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk

"""Calls about many items of the DynamoDB table at once."""

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
_TAKEN = "DuplicateItem"
_PASSING = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
"""What DynamoDB says of single items that it would take a moment later."""
_REFUSED_ITEM = frozenset({"ItemCollectionSizeLimitExceeded", "ValidationError"})
"""What DynamoDB says of single items that it never takes."""
_REFUSED_CALL = frozenset(
    {"ItemCollectionSizeLimitExceededException", "SerializationException", "ValidationException"}
)
"""The same of a call about one item."""
_NO_STATEMENTS = frozenset({"AccessDeniedException", "UnknownOperationException"})
"""Forbidden by a policy that does not name them, or unknown."""
_UNKNOWN_TO_EMULATOR = "500"
"""How an emulator may say that it knows no statements; of AWS itself it is a passing error."""
_REFUSAL = "DynamoDB refuses it"


class Table:
    """One table. What was not processed is sent again after a pause, for as long as the caller has time."""

    def __init__(self, dynamodb: AwsClient, name: str) -> None:
        self._no_statements = _NO_STATEMENTS
        if dynamodb.is_emulator:
            self._no_statements |= {_UNKNOWN_TO_EMULATOR}
        self._dynamodb = dynamodb
        self._name = name
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._takes_statements = True

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a call about this table."""
        return await self._dynamodb(operation, TableName=self._name, **parameters)

    async def get_many(self, keys: Iterable[Item], *, only: Sequence[str] = ()) -> list[Item]:
        """Return those of the items that are there, as they are now, in any order.

        Args:
            keys: Each once.
            only: The attributes to return; all where it is empty.
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
        """Delete items; those that are not there are no error."""
        await self._in_chunks(keys, WRITE_AT_ONCE, self._delete)

    async def insert_many(self, items: Iterable[Item]) -> list[Item]:
        """Keep the items whose key is free, and return those whose key is not.

        Raises:
            Unstorable: DynamoDB will never take some of them; all others are there.
            HistoryUnavailable: Some were neither kept nor are they there.
        """
        taken = await self._in_chunks(items, WRITE_AT_ONCE, self._insert)
        return [item for chunk in taken for item in chunk]

    async def put_together(self, puts: Sequence[dict[str, Any]]) -> bool:
        """Put all items or none; return False when the first one's condition does not hold.

        Raises:
            Unstorable: DynamoDB will never take one of them.
            HistoryUnavailable: Refused for another reason.
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
                if not codes <= _PASSING | {"None"}:
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

    async def _delete(self, keys: list[Item]) -> None:
        request = {self._name: [{"DeleteRequest": {"Key": key}} for key in keys]}
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
                        "no statements may be sent to DynamoDB: items are put one by one"
                    )
                elif code not in _REFUSED_CALL:  # these are about one item: put alone, it is found
                    raise
        are_taken = await gather_all(*(self._is_taken(item) for item in items))
        return [item for item, is_taken in zip(items, are_taken, strict=True) if is_taken]

    async def _is_taken(self, item: Item) -> bool:
        """Put one item if its key is free; return whether it is not."""
        try:
            await self.call("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as exc:
            if code_of(exc) in _REFUSED_CALL:
                raise Unstorable(_REFUSAL) from exc
            if code_of(exc) != "ConditionalCheckFailedException":
                raise
            return True
        return False

    async def _insert_by_statements(self, items: list[Item]) -> list[Item]:
        """Insert by the only batch of DynamoDB's that leaves alone what is there, at a tenth of what single puts cost."""
        taken: list[Item] = []
        is_refused = False
        pause = _Pause()
        while True:
            statements = [self._insertion(item) for item in items]
            answer = await self._dynamodb("batch_execute_statement", Statements=statements)
            told = [
                (item, response["Error"]["Code"])
                for item, response in zip(items, answer["Responses"], strict=True)
                if "Error" in response
            ]
            taken += [item for item, code in told if code == _TAKEN]
            items = [item for item, code in told if code in _PASSING]
            codes = {code for _, code in told}
            if not codes <= _PASSING | _REFUSED_ITEM | {_TAKEN}:
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
        self, what: Iterable[T], size: int, work: Callable[[list[T]], Awaitable[R]]
    ) -> list[R]:
        async def one(chunk: list[T]) -> R:
            async with self._slots:
                return await work(chunk)

        return await gather_all(*(one(chunk) for chunk in _chunks(what, size)))


async def gather_all(*works: Coroutine[Any, Any, R]) -> list[R]:
    """Return what they return once all have ended.

    Raises:
        Unstorable: One was refused for good, and all others succeeded.
        Exception: What the first of them failed with otherwise.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    errors = [one for one in results if isinstance(one, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, Unstorable)):
        raise error
    return [one for one in results if not isinstance(one, BaseException)]


class _Pause:
    """Waits longer each time, with full jitter."""

    def __init__(self) -> None:
        self._seconds = 0.05
        self._random = Random()  # noqa: S311 - for jitter; nothing depends on its being secret

    async def __call__(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._seconds))
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE_SECONDS)


def _chunks(what: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(what)
    while chunk := list(islice(left, size)):
        yield chunk

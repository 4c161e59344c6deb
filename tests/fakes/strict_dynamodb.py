"""Stands before an emulator of DynamoDB and refuses what DynamoDB refuses: the emulator takes any number and any key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from infra.history.dynamodb.schema import TABLE

_KEY_BYTES = {
    "pk": 2048,
    "sk": 1024,
    "userModel": 2048,
    "userConversation": 2048,
    "turnOf": 2048,
    "status": 2048,
}
_ITEM_BYTES = 400 * 1024
_PASSED_ON = ("authorization", "content-type", "x-amz-date", "x-amz-target")
_INVALID = {"__type": "com.amazon.coral.validate#ValidationException", "message": "invalid"}

assert set(_KEY_BYTES) == {one["AttributeName"] for one in TABLE["AttributeDefinitions"]}


class StrictDynamo:
    """A proxy on loopback.

    Attributes:
        url: Where it listens.
        fails_with: Answers every call with this status and body, so many times as it holds pairs.
        operations: What was asked of it, in order.
        other_keys: Answers as a table whose keys have other names.
    """

    def __init__(self, behind_url: str) -> None:
        self.url = ""
        self.fails_with: list[tuple[int, dict[str, Any]]] = []
        self.operations: list[str] = []
        self.authorizations: set[str] = set()
        self.other_keys = False
        self._behind_url = behind_url

    async def answer(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        self.operations.append(operation)
        self.authorizations.add(request.headers.get("Authorization", ""))
        asked = orjson.loads(await request.read())
        writes = {"BatchExecuteStatement", "PutItem", "TransactWriteItems"}
        if self.fails_with and operation in writes:
            status, body = self.fails_with.pop(0)
            return _json(body, status)
        if self.other_keys and operation in writes:
            return _json(_INVALID, 400)
        if operation == "PutItem" and not _is_item(asked["Item"]):
            return _json(_INVALID, 400)
        if operation == "TransactWriteItems":
            are_valid = [_is_item(one["Put"]["Item"]) for one in asked["TransactItems"]]
            if not all(are_valid):
                reasons = [{"Code": "None" if one else "ValidationError"} for one in are_valid]
                cancelled = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
                return _json({"__type": cancelled, "CancellationReasons": reasons}, 400)
        if operation == "BatchExecuteStatement":
            return await self._executed(request, asked)
        return _json(*await self._passed_on(request, asked))

    async def _executed(self, request: web.Request, asked: dict[str, Any]) -> web.Response:
        statements = asked["Statements"]
        are_valid = [_is_item(_item_of(one)) for one in statements]
        valid = [one for one, is_valid in zip(statements, are_valid, strict=True) if is_valid]
        responses = iter(())
        if valid:
            body, status = await self._passed_on(request, asked | {"Statements": valid})
            if status != 200:
                return _json(body, status)
            responses = iter(body["Responses"])
        refused = {"Error": {"Code": "ValidationError", "Message": "invalid"}}
        return _json(
            {"Responses": [next(responses) if is_valid else refused for is_valid in are_valid]}
        )

    async def _passed_on(
        self, request: web.Request, asked: dict[str, Any]
    ) -> tuple[dict[str, Any], int]:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() in _PASSED_ON
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._behind_url, data=orjson.dumps(asked), headers=headers) as response,
        ):
            return orjson.loads(await response.read()), response.status


@asynccontextmanager
async def strict(behind_url: str) -> AsyncIterator[StrictDynamo]:
    """A proxy before the emulator at `behind_url`, until the block ends."""
    proxy = StrictDynamo(behind_url)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/", proxy.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield proxy
    finally:
        await runner.cleanup()


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/x-amz-json-1.0"
    )


def _item_of(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the item of `INSERT INTO "…" VALUE {'name': ?, …}`."""
    names = statement["Statement"].partition(" VALUE ")[2].split("'")[1::2]
    return dict(zip(names, statement["Parameters"], strict=True))


def _is_item(item: dict[str, Any]) -> bool:
    size_bytes = sum([len(name) + len(str(value)) for name, value in item.items()])
    return size_bytes <= 2 * _ITEM_BYTES and all(map(_is_attribute, item, item.values()))


def _is_attribute(name: str, value: dict[str, Any]) -> bool:
    if "N" in value:
        return _is_number(value["N"])
    if name in _KEY_BYTES:
        return 0 < len(value["S"].encode()) <= _KEY_BYTES[name]
    return True


def _is_number(text: str) -> bool:
    """Return whether DynamoDB takes it: 38 digits, and a magnitude from 1E-130 to 9.99E+125."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    if not number.is_finite() or len(number.normalize().as_tuple().digits) > 38:
        return False
    return number == 0 or Decimal("1E-130") <= abs(number) < Decimal("1E+126")

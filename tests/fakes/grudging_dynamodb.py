"""Stands before an emulator of DynamoDB and does half of every batch, as a busy table may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from aiohttp import web

_PARTIAL = {"BatchGetItem", "BatchWriteItem", "BatchExecuteStatement"}


class GrudgingDynamo:
    """A proxy on loopback.

    Attributes:
        url: Where it listens.
        calls: The operations that were asked of it, in order.
        forbidden: Operations that it refuses, as a policy may.
    """

    def __init__(self, behind_url: str) -> None:
        self.url = ""
        self.calls: list[str] = []
        self.forbidden: set[str] = set()
        self._behind_url = behind_url

    async def answer(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        self.calls.append(operation)
        if operation in self.forbidden:
            denied = {"__type": "com.amazon.coral.service#AccessDeniedException"}
            return web.json_response(denied, status=400)
        asked = orjson.loads(await request.read())
        done, left = _halves(operation, asked)
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                self._behind_url, data=orjson.dumps(done), headers=_headers(request)
            ) as response,
        ):
            body = orjson.loads(await response.read())
            if response.status == 200 and operation in _PARTIAL:
                _add(operation, body, left)
            return web.Response(
                body=orjson.dumps(body),
                status=response.status,
                content_type="application/x-amz-json-1.0",
            )


@asynccontextmanager
async def grudging(behind_url: str) -> AsyncIterator[GrudgingDynamo]:
    """A proxy before the emulator at `behind_url`, until the block ends."""
    proxy = GrudgingDynamo(behind_url)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/", proxy.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield proxy
    finally:
        await runner.cleanup()


def _headers(request: web.Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() in {"authorization", "content-type", "x-amz-date", "x-amz-target"}
    }


def _halves(operation: str, asked: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return what is passed on, and what is left undone; at least one entry is passed on."""
    if operation not in _PARTIAL:
        return asked, None
    if operation == "BatchExecuteStatement":
        middle = (len(asked["Statements"]) + 1) // 2
        return asked | {"Statements": asked["Statements"][:middle]}, len(
            asked["Statements"]
        ) - middle
    ((table, request),) = asked["RequestItems"].items()
    if operation == "BatchWriteItem":
        middle = (len(request) + 1) // 2
        return {"RequestItems": {table: request[:middle]}}, {table: request[middle:]}
    middle = (len(request["Keys"]) + 1) // 2
    return (
        {"RequestItems": {table: request | {"Keys": request["Keys"][:middle]}}},
        {table: request | {"Keys": request["Keys"][middle:]}},
    )


def _add(operation: str, body: dict[str, Any], left: Any) -> None:
    if operation == "BatchExecuteStatement":
        throttled = {"Error": {"Code": "ThrottlingError", "Message": "later"}}
        body["Responses"] += [throttled] * left
        return
    ((_, request),) = left.items()
    if request and request != {"Keys": []} and (not isinstance(request, dict) or request["Keys"]):
        body["UnprocessedItems" if operation == "BatchWriteItem" else "UnprocessedKeys"] = left

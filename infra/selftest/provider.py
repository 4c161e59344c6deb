"""The fault provider: a raw socket server on loopback that supports all formats."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from infra.selftest.bedrock_rules import check_bedrock
from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import Fault
from infra.selftest.faults import FAULTS
from infra.selftest.request_rules import Violation, check_gemini, check_openai

_BACKLOG = 4096
"""Length of the accept queue, high enough that no connection is dropped, which would look like a fault."""
_GEMINI_PATH = re.compile(r"/v1beta/models/(?P<model>[^:]+):streamGenerateContent")
_BEDROCK_PATH = re.compile(r"/model/(?P<model>[^/]+)/converse-stream")


@dataclass(slots=True, kw_only=True)
class Call:
    """A received request.

    Attributes:
        at_seconds: Monotonic time of arrival.
        ended_seconds: Monotonic time of the end of the answer; None before it.
    """

    model: str
    wire: Wire
    headers: Mapping[str, str]
    body: Any
    at_seconds: float
    ended_seconds: float | None = None

    @property
    def question(self) -> str:
        """Text of the last user message, in any format."""
        if self.wire is Wire.GEMINI:
            asked = [turn for turn in self.body["contents"] if turn["role"] == "user"]
            return "".join([part.get("text", "") for part in asked[-1]["parts"]])
        asked = [message for message in self.body["messages"] if message["role"] == "user"]
        if self.wire is Wire.BEDROCK:
            return "".join([block.get("text", "") for block in asked[-1]["content"]])
        return str(asked[-1]["content"])

    def check(self) -> None:
        """Check the request as a real provider does.

        Raises:
            Violation: It would be rejected.
        """
        if self.wire is Wire.GEMINI:
            check_gemini(self.body)
        elif self.wire is Wire.BEDROCK:
            check_bedrock(self.body)
        else:
            check_openai(self.body)


@dataclass(slots=True)
class FaultProvider:
    """Answers each request with the fault named by its model, and records all requests.

    Other names get a healthy answer. `model@anything` is the fault `model` with a separate count. `override` replaces
    the fault of a model, so that a test can switch a provider off and on.

    Attributes:
        most_under_way: Maximum number of concurrent requests, by model.
    """

    calls: list[Call] = field(default_factory=list)
    override: dict[str, Fault] = field(default_factory=dict)
    url: str = ""
    most_under_way: Counter[str] = field(default_factory=Counter)
    _counts: Counter[str] = field(default_factory=Counter)
    _questions: Counter[tuple[str, str]] = field(default_factory=Counter)
    _at_once: Counter[str] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def connections(self) -> int:
        """Number of open connections, idle ones included."""
        return len(self._tasks)

    def count(self, model: str) -> int:
        """Return the number of requests for this model."""
        return self._counts[model]

    def under_way(self) -> int:
        """Return the number of requests that are not finished."""
        return sum(call.ended_seconds is None for call in self.calls)

    def under_way_of(self, model: str) -> int:
        """Return the number of requests for this model that are not answered."""
        return self._at_once[model]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = orjson.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
        wire, model = _asked(path, body)
        call = Call(model=model, wire=wire, headers=headers, body=body, at_seconds=time.monotonic())
        self.calls.append(call)
        self._counts[model] += 1
        self._questions[model, call.question] += 1
        self._at_once[model] += 1
        self.most_under_way[model] = max(self.most_under_way[model], self._at_once[model])
        exchange = Exchange(
            wire=wire,
            model=model,
            nth=self._questions[model, call.question],
            headers=headers,
            body=body,
            reader=reader,
            writer=writer,
        )
        fault = self.override.get(model) or FAULTS.get(model.split("@")[0]) or FAULTS["healthy"]
        try:
            call.check()
        except Violation as violation:
            refused = exchange.error(400, "INVALID_ARGUMENT", str(violation))
            fault = partial(_refuse, document=refused)
        try:
            await fault(exchange)
        finally:
            self._at_once[model] -= 1
            call.ended_seconds = time.monotonic()
        return not writer.is_closing()

    async def end(self) -> None:
        """Close all connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _asked(path: str, body: Any) -> tuple[Wire, str]:
    """Return the format of a request and its model."""
    if (gemini := _GEMINI_PATH.match(path)) is not None:
        return Wire.GEMINI, gemini["model"]
    if (bedrock := _BEDROCK_PATH.match(path)) is not None:
        return Wire.BEDROCK, unquote(bedrock["model"])
    return Wire.OPENAI, body["model"]


async def _refuse(exchange: Exchange, *, document: Any) -> None:
    await exchange.status(400, document)


@asynccontextmanager
async def fault_provider(port: int = 0) -> AsyncIterator[FaultProvider]:
    """Serve on loopback until the block ends; `url` is its base."""
    provider = FaultProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", port, backlog=_BACKLOG)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        await provider.end()
        await server.wait_closed()

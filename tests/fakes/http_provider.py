"""A provider that is a real HTTP server on loopback and does what a test says."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from tests.fakes.behaviour import Behaviour, Cut, Raw, Says


@dataclass(frozen=True)
class Seen:
    """One request as it arrived.

    Attributes:
        raw_path: The path before it was decoded.
        raw_body: The body before it was parsed.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    raw_path: str = ""
    raw_body: bytes = b""


class FakeProvider(ABC):
    """Serves behaviours in order, one a request; with none left it answers sensibly.

    Attributes:
        seen: Every request, in order.
        answered: How many answers went out whole.
        left: The requests whose client hung up before its answer was complete.
        peers: The address and port of every connection so far.
    """

    def __init__(self, *behaviours: Behaviour, api_key: str | None = "test-key") -> None:
        self.behaviours = deque(behaviours)
        self.api_key = api_key
        self.seen: list[Seen] = []
        self.answered = 0
        self.left: list[Seen] = []
        self.peers: set[object] = set()
        self._runner: web.AppRunner | None = None
        self.origin = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def then(self, *behaviours: Behaviour) -> None:
        """Add behaviours for the requests to come."""
        self.behaviours.extend(behaviours)

    @abstractmethod
    def refusal_of(self, seen: Seen) -> Raw | None:
        """Return how the provider refuses a request that it would not accept."""

    @abstractmethod
    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        """Return a behaviour in the provider's own format."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        seen = Seen(
            request.path,
            dict(request.query),
            request.headers,
            orjson.loads(body) if body else None,
            request.raw_path,
            body,
        )
        self.seen.append(seen)
        refusal = self.refusal_of(seen)
        if refusal is None:
            behaviour = self.behaviours.popleft() if self.behaviours else self._default(seen)
            refusal = self.render(behaviour, seen)
        try:
            response = await _play(request, refusal)
            self.answered += 1
            return response
        except (asyncio.CancelledError, ConnectionError):
            self.left.append(seen)
            raise

    def _default(self, seen: Seen) -> Behaviour:
        return Says(["Hello", " world"])


async def _play(request: web.Request, raw: Raw) -> web.StreamResponse:
    headers = {"Content-Type": raw.content_type, **raw.headers}
    if raw.whole:
        body = b"".join(step for step in raw.steps if isinstance(step, bytes))
        return web.Response(status=raw.status, headers=headers, body=body)
    response = web.StreamResponse(status=raw.status, headers=headers)
    await response.prepare(request)
    for step in raw.steps:
        if isinstance(step, bytes):
            await response.write(step)
        elif isinstance(step, Cut):
            assert request.transport is not None
            request.transport.close()
            return response
        else:
            await step.wait()
    await response.write_eof()
    return response

"""An application that does what its path says."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

PIECE = b"x" * 1024


class Application:
    """Plain ASGI. `seen` lists the paths that were asked for, `left` those whose client is known to have left."""

    def __init__(
        self, start: Callable[[], object] = lambda: None, end: Callable[[], object] = lambda: None
    ) -> None:
        self._start = start
        self._end = end
        self.seen: list[str] = []
        self.left: list[str] = []
        self.is_ready = True
        self.streams_end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["path"].strip("/")
        self.seen.append(scope["path"])
        name, _, argument = path.partition("/")
        routes: dict[str, Callable[[], Awaitable[None]]] = {
            "ready": lambda: _answer(send, b"", status=200 if self.is_ready else 503),
            "quick": lambda: _answer(send, b"quick"),
            "slow": lambda: self._slow(float(argument), send),
            "echo": lambda: self._echo(scope, receive, send),
            "refuse": lambda: _answer(send, b"too much", status=413),
            "stream": lambda: self._stream(int(argument or 1 << 20), scope, receive, send),
            "watch": lambda: self._watch(scope, receive),
            "headers": lambda: self._headers(scope, receive, send),
            "header": lambda: _answer_with(send, bytes([int(argument)])),
            "crash": self._crash,
            "crash-late": lambda: self._crash_late(send),
            "nothing": _nothing,
            "deaf": lambda: self._slow(60.0, send),
        }
        await routes[name]()

    def stop_being_ready(self) -> None:
        self.is_ready = False

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self._start()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self._end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _slow(self, seconds: float, send: Send) -> None:
        await asyncio.sleep(seconds)
        await _answer(send, b"slow")

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        size_bytes, has_more = 0, True
        while has_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.append(scope["path"])
                return
            size_bytes += len(message["body"])
            has_more = message["more_body"]
        await _answer(send, b"%d" % size_bytes)

    async def _headers(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        names = [name.decode() for name, _ in scope["headers"]]
        await _answer(send, json.dumps(names).encode())

    async def _stream(self, size_bytes: int, scope: Scope, receive: Receive, send: Send) -> None:
        watching = asyncio.create_task(self._watch(scope, receive))
        ending = asyncio.create_task(self.streams_end.wait())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while size_bytes > 0 and not watching.done() and not ending.done():
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                size_bytes -= len(PIECE)
                await asyncio.sleep(0.001)
            last = b"error" if ending.done() else b"done"
            await send({"type": "http.response.body", "body": last, "more_body": False})
        finally:
            watching.cancel()
            ending.cancel()

    async def _watch(self, scope: Scope, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.append(scope["path"])

    async def _crash(self) -> None:
        raise RuntimeError("secret of the application")

    async def _crash_late(self, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise RuntimeError("secret of the application")


async def _answer(send: Send, body: bytes, status: int = 200) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _nothing() -> None:
    return


async def _answer_with(send: Send, character: bytes) -> None:
    headers = [(b"x-said", b"a" + character + b"x-injected: b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})

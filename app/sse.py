"""An answer as server-sent events."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Self

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.dto.interaction import ChatResponse
from app.errors import problem_of_error
from app.services.chat_service import Pieces
from domain.entities.interaction import Interaction
from domain.entities.reply import Answering
from domain.entities.turn import Turn
from domain.exceptions import DomainError, Overloaded

PING_SECONDS = 15.0
_PING = b": ping\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

OpenStreams = set["EventStream"]
_logger = logging.getLogger("app.sse")


class EventStream(Response):
    """`meta`, `delta`…, then `done` or `error`.

    When the client leaves, the answer is closed, which hangs up on the provider and keeps the partial answer.
    """

    def __init__(
        self,
        turn: Turn,
        pieces: Pieces,
        begun: Sequence[Answering | str | Interaction],
        open_streams: OpenStreams,
    ) -> None:
        super().__init__()
        self.raw_headers = [*_HEADERS, (b"x-interaction-id", turn.id.encode())]
        self._turn = turn
        self._pieces = pieces
        self._begun = begun
        self._open_streams = open_streams
        self._task: asyncio.Task[Any] | None = None
        self._has_left = False
        self._sent_seconds = 0.0

    @classmethod
    async def begun(cls, turn: Turn, pieces: Pieces, open_streams: OpenStreams) -> Self:
        """Return the stream once its first text is there, so that a failure before it keeps its own status."""
        begun: list[Answering | str | Interaction] = []
        async for piece in pieces:
            if isinstance(piece, Answering):
                begun = [piece]
                continue
            begun.append(piece)
            break
        return cls(turn, pieces, begun, open_streams)

    def stop(self) -> None:
        """End the stream from our side: the client gets an `error`, history a `truncated`."""
        self._turn.is_cut_short = True
        if self._task is not None:
            self._task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        watching = loop.create_task(self._watch(receive))
        pinging = loop.create_task(self._ping(send))
        self._open_streams.add(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(scope, send)
        except asyncio.CancelledError:
            if not (self._has_left or self._turn.is_cut_short):
                raise
            task.uncancel()
            await self._pieces.aclose()
            if self._turn.is_cut_short:
                await self._send_problem(scope, send, Overloaded())
        finally:
            self._open_streams.discard(self)
            watching.cancel()
            pinging.cancel()
            await self._pieces.aclose()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        try:
            for piece in self._begun:
                await self._send_piece(scope, send, piece)
            async for piece in self._pieces:
                await self._send_piece(scope, send, piece)
        except DomainError as error:
            await self._send_problem(scope, send, error)
            return
        except Exception:
            # The status is long sent; the client is told in the stream, the log gets the stack.
            _logger.exception("a stream broke")
            await self._send_problem(scope, send, DomainError())
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(
        self, scope: Scope, send: Send, piece: Answering | str | Interaction
    ) -> None:
        if isinstance(piece, str):
            event = b"event: delta\ndata: " + orjson.dumps({"text": piece}) + b"\n\n"
        elif isinstance(piece, Interaction):
            event = b"event: done\ndata: " + self._done(scope, piece) + b"\n\n"
        elif piece.continues:
            return
        else:
            event = b"event: meta\ndata: " + self._meta(piece) + b"\n\n"
        self._sent_seconds = time.monotonic()
        await send({"type": "http.response.body", "body": event, "more_body": True})

    def _meta(self, answering: Answering) -> bytes:
        return orjson.dumps(
            {
                "id": self._turn.id,
                "model": answering.model,
                "provider": answering.provider,
                "conversationId": self._turn.conversation_id,
            }
        )

    def _done(self, scope: Scope, interaction: Interaction) -> bytes:
        answer = ChatResponse.of(interaction)
        return answer.model_dump_json(by_alias=True, exclude={"response"}).encode()

    async def _send_problem(self, scope: Scope, send: Send, error: DomainError) -> None:
        _, problem = problem_of_error(error, scope)
        event = b"event: error\ndata: " + orjson.dumps(problem) + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": False})

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        if self._task is not None:
            self._task.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            quiet_seconds = time.monotonic() - self._sent_seconds
            if quiet_seconds >= PING_SECONDS:
                self._sent_seconds, quiet_seconds = time.monotonic(), 0.0
                await send({"type": "http.response.body", "body": _PING, "more_body": True})
            await asyncio.sleep(PING_SECONDS - quiet_seconds)

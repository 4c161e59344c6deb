"""One request's way through the application."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn._types import ASGI3Application, ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.problem_table import INTERNAL, OVERLOADED, ProblemKind, problem_body
from app.server.refusal import problem_headers

_LOGGER = logging.getLogger("app.server")


class Outlet:
    """A connection's transport as an answer sees it: how it closes is for the connection to say.

    The other methods are the transport's own, so that they cost nothing.
    """

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Answer(RequestResponseCycle):
    """Ends in a problem whatever the application does, and reaches a client that has only stopped sending.

    Attributes:
        has_client_left: The client sent everything and closed its sending half. The application is told that it
            left, but what it still sends goes out: a client may do this and read on.
    """

    has_client_left = False
    _is_body_given = False

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # The server stops and has waited long enough; another instance can take the request.
            await self._end_with(OVERLOADED)
        except Exception:
            _LOGGER.exception("the application failed")
            await self._end_with(INTERNAL)
        else:
            if self.has_client_left and not self.response_complete:
                self.transport.close()
            elif not (self.response_complete or self.disconnected):
                _LOGGER.error("the application did not finish its answer")
                await self._end_with(INTERNAL)
        finally:
            self.on_response = lambda: None  # it holds the connection, which holds this

    async def receive(self) -> ASGIReceiveEvent:
        """As uvicorn's, but for a client that has left."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not (self.disconnected or self.response_complete):
            self.flow.resume_reading()
            await self.message_event.wait()
            if not self.has_client_left:
                self.message_event.clear()
            elif self._is_body_given:
                return {"type": "http.disconnect"}
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        self._is_body_given = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _end_with(self, kind: ProblemKind) -> None:
        """Send a problem, or, when another answer has begun, break it off."""
        if self.response_complete:
            return
        if self.response_started:
            self.transport.close()
            return
        state: dict[str, Any] = self.scope.get("state", {})
        request_id = state.get("request_id") or str(uuid.uuid4())
        body = orjson.dumps(problem_body(kind, request_id))
        headers = problem_headers(kind, body, request_id)
        await self.send({"type": "http.response.start", "status": kind.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

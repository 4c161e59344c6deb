"""Runs the application for one request and writes its response."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast

import orjson
from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.problems.problem_table import INTERNAL, OVERLOADED, ProblemKind, problem_body
from app.server.error_response import problem_headers

_LOGGER = logging.getLogger("app.server")
_CLOSE = (b"connection", b"close")
_CHUNKED = (b"transfer-encoding", b"chunked")
_CONTROLS = bytes(code for code in (*range(32), 127) if code != ord("\t"))


class BufferedTransport:
    """Transport that can join two writes, and whose `close` calls back the connection.

    After `hold_next` the next write is held until the one after it, so that head and body are one packet and one system
    call.
    """

    __slots__ = ("_close", "_head", "_is_holding", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.is_closing = transport.is_closing
        self._write = transport.write
        self._close = close
        self._head = b""
        self._is_holding = False

    def hold_next(self) -> None:
        """Hold the next write until the one after it, or until `close`."""
        self._is_holding = True

    def write(self, data: bytes) -> None:
        """Send `data`, with the held data before it."""
        if self._is_holding:
            self._head, self._is_holding = data, False
        elif self._head:
            head, self._head = self._head, b""
            self._write(head + data)
        else:
            self._write(data)

    def close(self) -> None:
        """Send the held data and close the connection."""
        if self._head:
            self.write(b"")
        self._close()

    def detach(self, transport: asyncio.Transport) -> None:
        """Drop the reference to the connection, which has ended."""
        self._close = transport.close
        self._head = b""


class ResponseCycle(RequestResponseCycle):
    """Ends every failure of the application in a problem, and answers a client that closed its sending half.

    Attributes:
        has_client_left: The client closed its sending half after its request. The application receives a
            `http.disconnect`, but its response is still sent, since such a client may read on.
    """

    has_client_left = False
    _is_body_received = False

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # The grace period of the shutdown is over; another instance can take the request.
            await self._end_with(OVERLOADED)
        except Exception:
            _LOGGER.exception("the application failed")
            await self._end_with(INTERNAL)
        else:
            if self.has_client_left and not self.response_complete:
                self.transport.close()
            elif not (self.response_complete or self.disconnected):
                _LOGGER.error("the application did not finish its response")
                await self._end_with(INTERNAL)
        finally:
            self.on_response = lambda: None  # breaks the reference cycle with the connection

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn's, but sends the head with the first part of the body, and checks it as a whole."""
        if self.response_started or message["type"] != "http.response.start":
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        has_body = self.scope["method"] != "HEAD"
        if has_body:
            cast(BufferedTransport, self.transport).hold_next()
        self.transport.write(
            self._head(message["status"], message.get("headers", ()), has_body=has_body)
        )

    def _head(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], *, has_body: bool
    ) -> bytes:
        """Return the head of the response, and note how its body ends.

        Raises:
            RuntimeError: A header contains a control character, which could end it.
        """
        fields = [*self.default_headers, *headers]
        values = dict(fields)
        if b"connection" in values and b"close" in values[b"connection"].lower():
            self.keep_alive = False
        elif not self.keep_alive:
            fields.append(_CLOSE)
        if values.get(b"transfer-encoding", b"").lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif b"content-length" in values:
            self.expected_content_length = int(values[b"content-length"])
            self.chunked_encoding = False
        elif has_body and status not in (204, 304):
            self.chunked_encoding = True
            fields.append(_CHUNKED)
        head = STATUS_LINE[status] + b"\r\n".join(map(b": ".join, fields)) + b"\r\n"
        lines = len(fields) + 1
        if len(head.translate(None, _CONTROLS)) != len(head) - 2 * lines:
            raise RuntimeError("a header contains a control character")
        return head + b"\r\n"

    async def receive(self) -> ASGIReceiveEvent:
        """As uvicorn's, but reports a client that closed its sending half."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not (self.disconnected or self.response_complete):
            self.flow.resume_reading()
            await self.message_event.wait()
            if not self.has_client_left:
                self.message_event.clear()
            elif self._is_body_received:
                return {"type": "http.disconnect"}
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        self._is_body_received = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _end_with(self, kind: ProblemKind) -> None:
        """Send a problem; close the connection where a response has begun."""
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

"""Streams the events of a background answer to one reader."""

import asyncio
from abc import abstractmethod
from typing import Protocol

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.process.lifecycle import Lifecycle
from app.requests.caller_slot import count_as_reader
from app.responses.open_stream import OpenStream
from domain.use_cases.background.follow_answer import FollowedAnswer, NumberedEvent


class LogFormat(Protocol):
    """Encodes the events of a log as server-sent events of one API format; equal events give equal bytes."""

    def begin(self) -> bytes:
        """Return the server-sent events before the first of the log."""
        return b""

    @abstractmethod
    def encode_numbered(self, numbered: NumberedEvent) -> bytes:
        """Return the server-sent events for one event; empty where the reader has them already."""
        ...


class AnswerStream(OpenStream):
    """Sends the events of a log as they are written. Neither a disconnect nor a shutdown ends the answer.

    At shutdown the response ends without an error event, so that the reader connects to another process with its last
    number.
    """

    def __init__(self, followed: FollowedAnswer, log_format: LogFormat, request: Request) -> None:
        self._lifecycle: Lifecycle = request.app.state.lifecycle
        super().__init__(followed.answer.interaction.id, request.receive, self._lifecycle.readers)
        self._followed = followed
        self._format = log_format
        self._is_stopped = False

    def note_replayed(self) -> None:
        """Note in the headers that a request was repeated with the same Idempotency-Key."""
        self.raw_headers.append((b"idempotency-replayed", b"true"))

    def stop(self) -> None:
        self._is_stopped = True
        self.task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        count_as_reader(scope)
        last = {"type": "http.response.body", "body": b"", "more_body": False}
        try:
            if self._lifecycle.is_stopping:
                # The next connection can be one to another process.
                self.raw_headers.append((b"connection", b"close"))
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not self._lifecycle.is_stopping:
                self.start_pings(send)
                await self._send_events(send)
            self.cancel_background_tasks()  # the end of the body would look like a disconnect
            await send(last)
        except asyncio.CancelledError:
            if not (self.is_disconnected or self._is_stopped):
                raise
            self.task.uncancel()
            if self._is_stopped:
                self.cancel_background_tasks()
                await send(last)
        finally:
            self.close()
            await self._followed.events.aclose()

    async def _send_events(self, send: Send) -> None:
        begin = self._format.begin()
        # Also without content: it sends the head, which names the answer and shows the reader that it is connected.
        await self._send(send, begin if self._followed.is_kept else b"")
        if self._followed.is_kept:
            async for numbered in self._followed.events:
                if content := self._format.encode_numbered(numbered):
                    await self._send(send, content)
            return
        # In one write, because a part of it could not be continued from the log of another host.
        contents = [
            self._format.encode_numbered(numbered) async for numbered in self._followed.events
        ]
        if contents:
            await self._send(send, begin + b"".join(contents))

    async def _send(self, send: Send, content: bytes) -> None:
        if content:
            self.note_sent()
        await send({"type": "http.response.body", "body": content, "more_body": True})

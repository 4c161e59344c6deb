"""Streams the events of a background answer to one reader."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

from starlette.types import Receive, Scope, Send

from app.process.lifecycle import Stoppable
from app.responses.open_stream import OpenStream
from domain.use_cases.background.follow_answer import NumberedEvent


class LogFormat(Protocol):
    """Encodes the events of a log as server-sent events of one API format; the same events always as the same bytes."""

    def begin(self) -> bytes:
        """Return the server-sent events before the first of the log."""
        return b""

    @abstractmethod
    def encode_numbered(self, numbered: NumberedEvent) -> bytes:
        """Return the server-sent events for one event; empty where the reader has them already."""
        ...


class AnswerStream(OpenStream):
    """Sends the events of a log as they come. Readers come and go: neither a disconnect nor a shutdown ends the answer.

    At shutdown the response just ends, so that the reader comes back to another process with the number it has.
    """

    def __init__(
        self,
        interaction_id: str,
        events: AsyncGenerator[NumberedEvent, None],
        log_format: LogFormat,
        receive: Receive,
        open_streams: set[Stoppable],
    ) -> None:
        super().__init__(interaction_id, receive, open_streams)
        self._events = events
        self._format = log_format
        self._is_stopped = False

    def note_replayed(self) -> None:
        """Note in the headers that a request was repeated with the same Idempotency-Key."""
        self.raw_headers.append((b"idempotency-replayed", b"true"))

    def stop(self) -> None:
        self._is_stopped = True
        self.task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        last = {"type": "http.response.body", "body": b"", "more_body": False}
        try:
            await send(start)
            self.start_pings(send)
            # Also without content: it sends the head, from which a reader knows the answer and that it is connected.
            await send({**last, "body": self._format.begin(), "more_body": True})
            async for numbered in self._events:
                if content := self._format.encode_numbered(numbered):
                    self.note_sent()
                    await send({**last, "body": content, "more_body": True})
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
            await self._events.aclose()

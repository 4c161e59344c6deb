"""Streams an answer as server-sent events, in the format of the called API."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol, Self

from starlette.types import Receive, Scope, Send

from app.process.lifecycle import Stoppable
from app.responses.open_stream import CLIENT_CLOSED_REQUEST, PING, OpenStream
from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError, Overloaded

_logger = logging.getLogger("app.responses.event_stream")


class StreamFormat(Protocol):
    """Encodes the events of an answer as server-sent events of one API format.

    Attributes:
        ping: Sent while nothing else is. A comment without a blank line, where the format has no event for it: some
            clients cannot parse the empty event that a blank line would end.
    """

    ping: ClassVar[bytes] = PING

    @abstractmethod
    def encode(self, event: ChatEvent) -> bytes:
        """Return the server-sent events for `event`; empty where the format has none for it."""
        ...

    @abstractmethod
    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        """Return the server-sent events that end a failed stream."""
        ...


class EventStream(OpenStream):
    """Sends one answer, event by event.

    If the client disconnects, the answer is closed, which cancels the provider call and records the partial answer.
    """

    def __init__(
        self,
        context: ChatRequestContext,
        events: AnswerEvents,
        stream_format: StreamFormat,
        receive: Receive,
        open_streams: set[Stoppable],
    ) -> None:
        super().__init__(context.id, receive, open_streams)
        if context.is_replayed:
            self.raw_headers.append((b"idempotency-replayed", b"true"))
        self.ping = stream_format.ping
        self._context = context
        self._events = events
        self._format = stream_format
        self._first_events: list[ChatEvent] = []
        self._is_done = False

    async def begin(self) -> Self:
        """Wait for the first text or tool call, so that an error until then gets its own status.

        Reasoning is held back until then, because another model may still answer instead.

        Raises:
            DomainError: The answer failed before its first text.
            Overloaded: The service is shutting down.
        """
        try:
            async for event in self._events:
                if isinstance(event, ProviderSelected):
                    self._first_events = [event]
                    continue
                self._first_events.append(event)
                if not isinstance(event, ReasoningDelta):
                    break
        except asyncio.CancelledError:
            await self._end()
            if not self._absorbs_cancellation():
                raise
            if self._context.ended_by_shutdown:
                raise Overloaded from None
            self.status_code = CLIENT_CLOSED_REQUEST
        except BaseException:
            await self._end()
            raise
        return self

    def stop(self) -> None:
        """End the stream at shutdown: the client gets an error event, history the status `truncated`."""
        self._context.ended_by_shutdown = True
        self.task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        try:
            await send({**start, "headers": self.raw_headers})
            if not self.is_disconnected:
                self.start_pings(send)
                await self._send_all(scope, send)
        except asyncio.CancelledError:
            await self._end()
            if not self._absorbs_cancellation():
                raise
            if self._context.ended_by_shutdown:
                await self._send_problem(scope, send, Overloaded())
        finally:
            await self._end()

    async def _end(self) -> None:
        """Cancel the background tasks and close the answer; further calls change nothing."""
        self.close()
        await self._events.aclose()

    def _absorbs_cancellation(self) -> bool:
        """Return whether this object cancelled its own task; if so, uncancel it."""
        if not (self.is_disconnected or self._context.ended_by_shutdown):
            return False
        self.task.uncancel()
        return True

    async def _send_all(self, scope: Scope, send: Send) -> None:
        try:
            await self._send_events(send, self._first_events)
            async for event in self._events:
                await self._send_events(send, (event,))
        except DomainError as error:
            await self._send_problem(scope, send, error)
            return
        except Exception:
            # The status is already sent, so the error goes into the stream, and the stack trace into the log.
            fields = {"trace": {"id": scope["state"]["trace_id"]}}
            _logger.exception("event stream failed", extra={"ecs": fields})
            await self._send_problem(scope, send, DomainError())
            return
        if not self._is_done:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send, events: Sequence[ChatEvent]) -> None:
        """Send several events in one write; an interaction must be the last event and ends the body."""
        content = b"".join([self._format.encode(event) for event in events])
        if events and isinstance(events[-1], Interaction):
            self._is_done = True
            self.cancel_background_tasks()  # the end of the body would look like a disconnect
        if content or self._is_done:
            self.note_sent()
            await send(
                {"type": "http.response.body", "body": content, "more_body": not self._is_done}
            )

    async def _send_problem(self, scope: Scope, send: Send, error: DomainError) -> None:
        content = self._format.encode_error(error, scope)
        await send({"type": "http.response.body", "body": content, "more_body": False})

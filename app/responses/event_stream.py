"""Streams an answer as server-sent events, in the format of the called API."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Protocol, Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.process.lifecycle import Stoppable
from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError, Overloaded

PING_SECONDS = 15.0
_DISCONNECT_WATCH_DELAY_SECONDS = 0.2
"""Well below the second within which a disconnect must cancel the provider call."""
_CLIENT_CLOSED_REQUEST = 499
"""Status in the access log of a client that disconnected before its answer began, as in nginx."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

_logger = logging.getLogger("app.responses.event_stream")


class StreamFormat(Protocol):
    """Encodes the events of an answer as server-sent events of one API format.

    Attributes:
        ping: Sent while nothing else is. A comment without a blank line, where the format has no event for it: some
            clients cannot parse the empty event that a blank line would end.
    """

    ping: ClassVar[bytes] = b": ping\n"

    @abstractmethod
    def encode(self, event: ChatEvent) -> bytes:
        """Return the server-sent events for `event`; empty where the format has none for it."""
        ...

    @abstractmethod
    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        """Return the server-sent events that end a failed stream."""
        ...


class EventStream(Response):
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
        super().__init__()
        self.raw_headers = [*_HEADERS, (b"x-interaction-id", context.id.encode())]
        if context.is_replayed:
            self.raw_headers.append((b"idempotency-replayed", b"true"))
        self._context = context
        self._events = events
        self._format = stream_format
        self._open_streams = open_streams
        self._first_events: list[ChatEvent] = []
        self._task = _current_task()
        self._is_disconnected = False
        self._is_done = False
        self._last_sent_seconds = 0.0
        self._background_tasks: list[asyncio.Task[None] | asyncio.TimerHandle] = []
        self._start_later(_DISCONNECT_WATCH_DELAY_SECONDS, self._watch_disconnect, receive)
        open_streams.add(self)

    async def begin(self) -> Self:
        """Wait for the first text or tool call, so that an error until then gets its own status.

        Reasoning before it waits too: another model may still answer instead, without it.

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
            self.status_code = _CLIENT_CLOSED_REQUEST
        except BaseException:
            await self._end()
            raise
        return self

    def stop(self) -> None:
        """End the stream at shutdown: the client gets an error event, history the status `truncated`."""
        self._context.ended_by_shutdown = True
        self._task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        try:
            await send({**start, "headers": self.raw_headers})
            if not self._is_disconnected:
                self._start_later(PING_SECONDS, self._ping, send)
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
        self._open_streams.discard(self)
        self._cancel_background_tasks()
        await self._events.aclose()

    def _absorbs_cancellation(self) -> bool:
        """Return whether this object cancelled its own task; if so, uncancel it."""
        if not (self._is_disconnected or self._context.ended_by_shutdown):
            return False
        self._task.uncancel()
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
            self._cancel_background_tasks()  # the end of the body would look like a disconnect
        if content or self._is_done:
            self._last_sent_seconds = time.monotonic()
            await send(
                {"type": "http.response.body", "body": content, "more_body": not self._is_done}
            )

    async def _send_problem(self, scope: Scope, send: Send, error: DomainError) -> None:
        content = self._format.encode_error(error, scope)
        await send({"type": "http.response.body", "body": content, "more_body": False})

    def _start_later(
        self,
        delay_seconds: float,
        function: Callable[[Any], Coroutine[Any, Any, None]],
        channel: Any,
    ) -> None:
        """Start a background task after a delay: most answers end before, and a timer is cheaper than a task.

        Args:
            delay_seconds: Time until the start.
            function: The task's coroutine function.
            channel: Its argument, the ASGI `receive` or `send`.
        """
        loop = self._task.get_loop()
        tasks = self._background_tasks
        tasks.append(
            loop.call_later(
                delay_seconds, lambda: tasks.append(loop.create_task(function(channel)))
            )
        )

    def _cancel_background_tasks(self) -> None:
        for task in self._background_tasks:
            task.cancel()
        self._background_tasks.clear()

    async def _watch_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_disconnected = True
        self._task.cancel()

    async def _ping(self, send: Send) -> None:
        ping = self._format.ping
        while True:
            idle_seconds = time.monotonic() - self._last_sent_seconds
            if idle_seconds >= PING_SECONDS:
                self._last_sent_seconds, idle_seconds = time.monotonic(), 0.0
                await send({"type": "http.response.body", "body": ping, "more_body": True})
            await asyncio.sleep(PING_SECONDS - idle_seconds)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task

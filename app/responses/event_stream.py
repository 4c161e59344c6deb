"""An answer as server-sent events, in whatever format the caller speaks."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.process.lifecycle import Stoppable
from app.services.answer_events import AnswerEvents, ChatEvent
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction
from domain.entities.reply import ProviderSelected
from domain.exceptions import DomainError, Overloaded

PING_SECONDS = 15.0
_WATCH_AFTER_SECONDS = 0.2
"""Well below the second within which a client's leaving has to reach the provider."""
_CLIENT_CLOSED_REQUEST = 499
"""What the access line shows for a client that left before its answer began (nginx's number)."""
_PING = b": ping\n"
"""A comment line alone: some clients take the blank line of an event without data for an event they cannot read."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

_logger = logging.getLogger("app.responses.event_stream")


class StreamFormat(Protocol):
    """Writes the events of an answer as the server-sent events of one API format."""

    @abstractmethod
    def encode(self, event: ChatEvent) -> bytes:
        """Return the server-sent events for `event`; empty where the format has none for it."""
        ...

    @abstractmethod
    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        """Return the server-sent events that end a broken stream."""
        ...


class EventStream(Response):
    """One answer, event by event.

    Watches the client nearly from the start. When it leaves, the answer is closed, which hangs up on the provider and
    keeps the partial answer.
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
        self._begun: list[ChatEvent] = []
        self._task = _this_task()
        self._has_left = False
        self._is_done = False
        self._sent_seconds = 0.0
        self._helpers: list[asyncio.Task[None] | asyncio.TimerHandle] = []
        self._help_after(_WATCH_AFTER_SECONDS, self._watch, receive)
        open_streams.add(self)

    async def begin(self) -> Self:
        """Return once the first text is there, so that a failure before it keeps its own status.

        Raises:
            DomainError: Nobody answered.
            Overloaded: The service stops.
        """
        try:
            async for event in self._events:
                if isinstance(event, ProviderSelected):
                    self._begun = [event]
                    continue
                self._begun.append(event)
                break
        except asyncio.CancelledError:
            await self._end()
            if not self._takes_back_cancellation():
                raise
            if self._context.ended_by_shutdown:
                raise Overloaded from None
            self.status_code = _CLIENT_CLOSED_REQUEST
        except BaseException:
            await self._end()
            raise
        return self

    def stop(self) -> None:
        """End the stream from our side: the client gets an `error`, history a `truncated`."""
        self._context.ended_by_shutdown = True
        self._task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        try:
            await send({**start, "headers": self.raw_headers})
            if not self._has_left:
                self._help_after(PING_SECONDS, self._ping, send)
                await self._send_all(scope, send)
        except asyncio.CancelledError:
            await self._end()
            if not self._takes_back_cancellation():
                raise
            if self._context.ended_by_shutdown:
                await self._send_problem(scope, send, Overloaded())
        finally:
            await self._end()

    async def _end(self) -> None:
        """Stop watching and hang up on whoever answers; the second time changes nothing."""
        self._open_streams.discard(self)
        self._dismiss_helpers()
        await self._events.aclose()

    def _takes_back_cancellation(self) -> bool:
        """Return whether the cancellation was of our own making, so that it ends here."""
        if not (self._has_left or self._context.ended_by_shutdown):
            return False
        self._task.uncancel()
        return True

    async def _send_all(self, scope: Scope, send: Send) -> None:
        try:
            await self._send_events(send, self._begun)
            async for event in self._events:
                await self._send_events(send, (event,))
        except DomainError as error:
            await self._send_problem(scope, send, error)
            return
        except Exception:
            # The status is long sent; the client is told in the stream, the log gets the stack.
            fields = {"trace": {"id": scope["state"]["trace_id"]}}
            _logger.exception("a stream broke", extra={"ecs": fields})
            await self._send_problem(scope, send, DomainError())
            return
        if not self._is_done:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send, events: Sequence[ChatEvent]) -> None:
        """Send several events in one write. An interaction is the last, and ends the body."""
        content = b"".join([self._format.encode(event) for event in events])
        if events and isinstance(events[-1], Interaction):
            self._is_done = True
            self._dismiss_helpers()  # to them, the end would look as if the client had left
        if content or self._is_done:
            self._sent_seconds = time.monotonic()
            await send(
                {"type": "http.response.body", "body": content, "more_body": not self._is_done}
            )

    async def _send_problem(self, scope: Scope, send: Send, error: DomainError) -> None:
        content = self._format.encode_error(error, scope)
        await send({"type": "http.response.body", "body": content, "more_body": False})

    def _help_after(
        self, seconds: float, help_: Callable[[Any], Coroutine[Any, Any, None]], door: Any
    ) -> None:
        """Start a helper after so long: most answers are over by then, and a task costs more than a timer."""
        loop = self._task.get_loop()
        self._helpers.append(
            loop.call_later(seconds, lambda: self._helpers.append(loop.create_task(help_(door))))
        )

    def _dismiss_helpers(self) -> None:
        for helper in self._helpers:
            helper.cancel()
        self._helpers.clear()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        self._task.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            quiet_seconds = time.monotonic() - self._sent_seconds
            if quiet_seconds >= PING_SECONDS:
                self._sent_seconds, quiet_seconds = time.monotonic(), 0.0
                await send({"type": "http.response.body", "body": _PING, "more_body": True})
            await asyncio.sleep(PING_SECONDS - quiet_seconds)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task

"""A response of server-sent events: its headers, pings, and the watch for clients that disconnect."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Send

from app.process.lifecycle import Stoppable

PING_SECONDS = 15.0
PING = b": ping\n"
"""A comment without a blank line: some clients cannot parse the empty event that a blank line would end."""
_DISCONNECT_WATCH_DELAY_SECONDS = 0.2
"""Well below the second within which a disconnect must cancel the provider call."""
CLIENT_CLOSED_REQUEST = 499
"""Status in the access log of a client that disconnected before its answer began, as in nginx."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class OpenStream(Response):
    """Base class of responses that stay open for long.

    Attributes:
        ping: Sent while nothing else is.
        task: The task that sends the response; a disconnect cancels it.
        is_disconnected: The client has disconnected.
    """

    def __init__(self, interaction_id: str, receive: Receive, open_streams: set[Stoppable]) -> None:
        """Begin to watch for a disconnect.

        Args:
            interaction_id: Goes into the headers.
            receive: Of the request.
            open_streams: Ends its members at shutdown; the response adds and removes itself.
        """
        super().__init__()
        self.raw_headers = [*_HEADERS, (b"x-interaction-id", interaction_id.encode())]
        self.ping = PING
        self.task = _current_task()
        self.is_disconnected = False
        self._open_streams = open_streams
        self._last_sent_seconds = 0.0
        self._background_tasks: list[asyncio.Task[None] | asyncio.TimerHandle] = []
        self._start_later(_DISCONNECT_WATCH_DELAY_SECONDS, self._watch_disconnect, receive)
        open_streams.add(self)

    def stop(self) -> None:
        """End the stream at shutdown."""
        self.task.cancel()

    def start_pings(self, send: Send) -> None:
        """Send a ping after 15 s of silence, from now on."""
        self._start_later(PING_SECONDS, self._ping, send)

    def note_sent(self) -> None:
        """Note that something was sent, which is as good as a ping."""
        self._last_sent_seconds = time.monotonic()

    def close(self) -> None:
        """Cancel the background tasks; further calls change nothing."""
        self._open_streams.discard(self)
        self.cancel_background_tasks()

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
        loop = self.task.get_loop()
        tasks = self._background_tasks
        tasks.append(
            loop.call_later(
                delay_seconds, lambda: tasks.append(loop.create_task(function(channel)))
            )
        )

    def cancel_background_tasks(self) -> None:
        """End pings and the watch for a disconnect."""
        for task in self._background_tasks:
            task.cancel()
        self._background_tasks.clear()

    async def _watch_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_disconnected = True
        self.task.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            idle_seconds = time.monotonic() - self._last_sent_seconds
            if idle_seconds >= PING_SECONDS:
                self._last_sent_seconds, idle_seconds = time.monotonic(), 0.0
                await send({"type": "http.response.body", "body": self.ping, "more_body": True})
            await asyncio.sleep(PING_SECONDS - idle_seconds)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task

"""The server: start, serving, and shutdown in steps."""

import asyncio
import functools
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from app.server.connection import Connection
from app.server.lifespan import Lifespan
from app.server.options import ServeOptions
from app.server.sockets import BACKLOG, SharedSockets

_TICK_SECONDS = 0.05
_CANCEL_SECONDS = 1.0
_LOGGER = logging.getLogger("app.server")


class Server(uvicorn.Server):
    """Serves until it is stopped, then shuts down in steps.

    `on_started` is called once the application has started and the sockets are listening, `on_listening` after the
    address is logged, with the URL of the first socket; one of the processes that share sockets does both.
    On SIGTERM, `on_stopping` is called, the sockets are closed, and requests have the grace period to finish; then
    `on_grace_over` is called, and the requests that remain a little later are cancelled. A second signal ends the
    grace period; with SIGINT, the Ctrl-C of a terminal, there is none.

    One of several processes that a supervisor stops gets its signals twice if they are sent to the whole group too:
    then a second SIGTERM does not end the grace period, and the log lines about the stop are the supervisor's.

    Attributes:
        log_prefix: Start of the log line that reports the listening address.
    """

    log_prefix = "listening"

    def __init__(
        self,
        app: ASGIApp,
        options: ServeOptions,
        *,
        on_started: Callable[[], None] = lambda: None,
        on_listening: Callable[[str], None] = lambda _: None,
        on_stopping: Callable[[], None] = lambda: None,
        on_grace_over: Callable[[], None] = lambda: None,
        shared: SharedSockets | None = None,
    ) -> None:
        super().__init__(_config(app, options))
        self._options = options
        self._on_started = on_started
        self._on_listening = on_listening
        self._on_stopping = on_stopping
        self._on_grace_over = on_grace_over
        self._is_supervised = shared is not None
        self._is_announced = shared is None or shared.is_announced
        self._is_hurried = False

    def stop(self) -> None:
        """Begin to stop; a second call ends the grace period. May be called from a signal handler or another thread."""
        self._is_hurried = self.should_exit
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; unlike uvicorn's, without raising the signal again at the end, which would become the exit code."""
        if self._is_supervised:
            self.should_exit = True
        else:
            self.stop()
        self._is_hurried |= sig == signal.SIGINT

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()
        urls = []
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            urls.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            _LOGGER.log(
                logging.INFO if self._is_announced else logging.DEBUG,
                "%s on %s",
                self.log_prefix,
                urls[-1],
                extra={"ecs": {"server": {"address": host, "port": port}}},
            )
        if urls and self._is_announced:
            self._on_listening(urls[0])

    async def on_tick(self, counter: int) -> bool:
        self._close_expired_connections()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _LOGGER.log(self._level, "stopping")
        self._on_stopping()
        # Connections made before the signal are accepted, and read before idle ones are closed.
        await asyncio.sleep(_TICK_SECONDS)
        await self._wait(self._options.unready_seconds, lambda: self._is_hurried)
        for server in self.servers:
            server.close()
        await asyncio.sleep(_TICK_SECONDS)
        await self._drain(self._options.shutdown_grace_seconds, lambda: self._is_hurried)
        if self._is_busy():
            self._on_grace_over()
            await self._drain(self._options.final_response_seconds, lambda: False)
        await self._cancel_remaining()
        await self.lifespan.shutdown()
        _LOGGER.log(self._level, "stopped")

    @property
    def _level(self) -> int:
        return logging.DEBUG if self._is_supervised else logging.INFO

    def _is_busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    def _connections(self) -> list[Connection]:
        return list(cast(set[Connection], self.server_state.connections))

    async def _drain(self, seconds: float, is_over: Callable[[], bool]) -> None:
        def is_done() -> bool:
            for connection in self._connections():
                connection.shutdown()
            return not self._is_busy() or is_over()

        await self._wait(seconds, is_done)

    async def _wait(self, seconds: float, is_done: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        ends_seconds = loop.time() + seconds
        while loop.time() < ends_seconds and not is_done():
            self._close_expired_connections()
            await asyncio.sleep(_TICK_SECONDS)

    async def _cancel_remaining(self) -> None:
        tasks = list(self.server_state.tasks)
        if tasks:
            _LOGGER.warning("requests cut off: %d", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        for connection in self._connections():
            connection.transport.abort()
        await asyncio.sleep(0)

    def _close_expired_connections(self) -> None:
        loop = asyncio.get_running_loop()
        now_seconds = loop.time()
        for connection in self._connections():
            if connection.has_expired(now_seconds):
                loop.call_soon(connection.close_expired, now_seconds)


def _config(app: ASGIApp, options: ServeOptions) -> uvicorn.Config:
    protocol: Any = functools.partial(Connection, options)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )
    config.load()
    config.lifespan_class = Lifespan
    return config

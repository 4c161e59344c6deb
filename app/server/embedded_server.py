"""A second HTTP server in the same process, for metrics."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace

from starlette.types import ASGIApp

from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import CannotListen, listen
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded

PAUSE_SECONDS = 1.0
"""Pause before a restart after an unexpected end; doubled after each failure in a row, up to the maximum below."""
LONGEST_PAUSE_SECONDS = 30.0

_DRAIN_SECONDS = 1.0
_LOGGER = logging.getLogger("app.server")


class EmbeddedServer(Server):
    """Installs no signal handlers; `stop` ends it."""

    log_prefix = "metrics"

    def __init__(
        self, app: ASGIApp, options: ServeOptions, *, on_started: Callable[[], None]
    ) -> None:
        super().__init__(app, options, on_started=on_started)
        self.servers = []  # until it listens

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._close_sockets()
        await self._drain(_DRAIN_SECONDS, lambda: False)
        await self._cancel_remaining()
        await self.lifespan.shutdown()

    async def release(self) -> None:
        """Release the sockets and connections of a server that ended without its shutdown."""
        self._close_sockets()
        await self._cancel_remaining()

    def _close_sockets(self) -> None:
        for server in self.servers:
            server.close()


class _SupervisedServer:
    """Serves until `stop`, and restarts the server when it ends before that."""

    def __init__(self, app: ASGIApp, options: ServeOptions, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._sockets = listen(options.host, options.port)
        # a port chosen by the system stays the same after a restart
        self._options = replace(options, port=self._sockets[0].getsockname()[1])
        self._stopping = asyncio.Event()
        self._server: EmbeddedServer | None = None
        self._ended_milliseconds: int | None = None

    def degraded(self) -> Sequence[Degraded]:
        """Return one entry while the server does not serve."""
        if self._ended_milliseconds is None:
            return ()
        return (
            Degraded(
                component="metrics server",
                reason="ended unexpectedly",
                since_milliseconds=self._ended_milliseconds,
            ),
        )

    def stop(self) -> None:
        self._stopping.set()
        if self._server is not None:
            self._server.stop()

    async def run(self) -> None:
        pause_seconds = PAUSE_SECONDS
        while True:
            started_seconds = self._clock.monotonic()
            await self._serve_once()
            if self._stopping.is_set():
                return
            if self._ended_milliseconds is None:
                self._ended_milliseconds = self._clock.now_milliseconds()
            if self._clock.monotonic() - started_seconds > LONGEST_PAUSE_SECONDS:
                pause_seconds = PAUSE_SECONDS
            _LOGGER.error("the metrics server ended; starting it again in %.3g s", pause_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._stopping.wait()
                    return
            pause_seconds = min(2.0 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _serve_once(self) -> None:
        try:
            self._sockets = self._sockets or listen(self._options.host, self._options.port)
            self._server = EmbeddedServer(self._app, self._options, on_started=self._note_started)
            await self._server.serve(self._sockets)
        except CannotListen as exc:
            _LOGGER.warning("the metrics server: %s", exc)
        except Exception:
            _LOGGER.exception("the metrics server failed")
        finally:
            if self._server is not None:
                await self._server.release()
            for listening in self._sockets:
                listening.close()
            self._server, self._sockets = None, []

    def _note_started(self) -> None:
        if self._ended_milliseconds is not None:
            _LOGGER.info("the metrics server serves again")
        self._ended_milliseconds = None


@asynccontextmanager
async def serve_in_background(
    app: ASGIApp, options: ServeOptions, clock: Clock
) -> AsyncIterator[Callable[[], Sequence[Degraded]]]:
    """Serve `app` while the block runs; yield a function that returns an entry while it is not served.

    An unexpected end is logged, and the server restarted after a pause.

    Raises:
        CannotListen: The address is in use, or not one of this machine.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the messages of this module suffice
    supervised = _SupervisedServer(app, options, clock)
    serving = asyncio.get_running_loop().create_task(supervised.run(), name="metrics")
    try:
        yield supervised.degraded
    finally:
        supervised.stop()
        await asyncio.wait([serving])

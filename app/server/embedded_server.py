"""A second, small server in the same process, for what is none of the callers' business."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace

from starlette.types import ASGIApp

from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import listening_sockets
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded

PAUSE_SECONDS = 1.0
"""How long after an unforeseen end the server is started again; twice as long each time in a row, up to the next."""
LONGEST_PAUSE_SECONDS = 30.0

_LAST_ANSWERS_SECONDS = 1.0
_LOGGER = logging.getLogger("app.server")


class CannotListen(Exception):
    """The address cannot be listened on; the message says which, and why."""


class _Beside(Server):
    """Hears no signals, and ends when it is told to: the process's own end is for others to order."""

    named = "metrics"

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
        await self._drain(_LAST_ANSWERS_SECONDS, lambda: False)
        await self._cut_off()
        await self.lifespan.shutdown()

    async def give_up(self) -> None:
        """Let go of what a server holds that ended without its shutdown."""
        self._close_sockets()
        await self._cut_off()

    def _close_sockets(self) -> None:
        for server in self.servers:
            server.close()


class _KeptServing:
    """Serves until told to stop, and starts again when the server ends before that."""

    def __init__(self, app: ASGIApp, options: ServeOptions, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._sockets = _listening(options)
        # where the system chose the port, it stays the same
        self._options = replace(options, port=self._sockets[0].getsockname()[1])
        self._stopping = asyncio.Event()
        self._server: _Beside | None = None
        self._ended_milliseconds: int | None = None

    def degraded(self) -> Sequence[Degraded]:
        """Return that the server does not serve, if that is so."""
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
            began_seconds = self._clock.monotonic()
            await self._serve_once()
            if self._stopping.is_set():
                return
            if self._ended_milliseconds is None:
                self._ended_milliseconds = self._clock.now_milliseconds()
            if self._clock.monotonic() - began_seconds > LONGEST_PAUSE_SECONDS:
                pause_seconds = PAUSE_SECONDS
            _LOGGER.error("the metrics server ended; starting it again in %.3g s", pause_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._stopping.wait()
                    return
            pause_seconds = min(2.0 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _serve_once(self) -> None:
        try:
            self._sockets = self._sockets or _listening(self._options)
            self._server = _Beside(self._app, self._options, on_started=self._note_started)
            await self._server.serve(self._sockets)
        except CannotListen as exc:
            _LOGGER.warning("the metrics server: %s", exc)
        except Exception:
            _LOGGER.exception("the metrics server failed")
        finally:
            if self._server is not None:
                await self._server.give_up()
            for listening in self._sockets:
                listening.close()
            self._server, self._sockets = None, []

    def _note_started(self) -> None:
        if self._ended_milliseconds is not None:
            _LOGGER.info("the metrics server serves again")
        self._ended_milliseconds = None


def _listening(options: ServeOptions) -> list[socket.socket]:
    try:
        return listening_sockets(options.host, options.port)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {options.host} port {options.port}: {exc}") from exc


@asynccontextmanager
async def serve_in_background(
    app: ASGIApp, options: ServeOptions, clock: Clock
) -> AsyncIterator[Callable[[], Sequence[Degraded]]]:
    """Serve `app` while the block runs; yield what tells whether it is not served.

    A server that ends by itself is logged and started again after a pause.

    Raises:
        CannotListen: The address is taken, or not this machine's.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # nobody asks when it came and went
    kept = _KeptServing(app, options, clock)
    serving = asyncio.get_running_loop().create_task(kept.run(), name="metrics")
    try:
        yield kept.degraded
    finally:
        kept.stop()
        await asyncio.wait([serving])

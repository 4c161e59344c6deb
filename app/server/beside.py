"""A second, small server in the same process, for what is none of the callers' business."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import ASGIApp

from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import listening_sockets

_LAST_ANSWERS_SECONDS = 1.0


class CannotListen(Exception):
    """The address cannot be listened on; the message says which, and why."""


class _Beside(Server):
    """Hears no signals, and ends when it is told to: the process's own end is for others to order."""

    named = "metrics"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._drain(_LAST_ANSWERS_SECONDS, lambda: False)
        await self._cut_off()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving_beside(app: ASGIApp, options: ServeOptions) -> AsyncIterator[None]:
    """Serve `app` while the block runs.

    Raises:
        CannotListen: The address is taken, or not this machine's.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # nobody asks when it came and went
    try:
        sockets = listening_sockets(options.host, options.port)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {options.host} port {options.port}: {exc}") from exc
    server = _Beside(app, options)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets), name="metrics")
    try:
        yield
    finally:
        server.stop()
        await asyncio.wait([serving])
        for listening in sockets:
            listening.close()

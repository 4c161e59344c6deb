"""A way to a server that a test can shut.

A server that is paused reads, once it goes on, what was sent to it meanwhile: who sent it may be long dead, and the
loss of what they held goes unnoticed. What is sent through a shut gate never arrives.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_PIECE_BYTES = 65536


class Gate:
    """Passes bytes on while it is open. A connection that sent something while it was shut stays dead.

    Attributes:
        port: Where clients connect to.
        is_open: May be changed at any time.
    """

    def __init__(self, behind_port: int) -> None:
        self.port = 0
        self.is_open = True
        self._behind_port = behind_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind_port)
        answering = asyncio.create_task(_pass_on(behind_reader, writer))
        is_dead = False
        try:
            while piece := await reader.read(_PIECE_BYTES):
                is_dead = is_dead or not self.is_open
                if not is_dead:
                    behind_writer.write(piece)
                    await behind_writer.drain()
        except ConnectionError:
            pass
        finally:
            answering.cancel()
            behind_writer.close()
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def open_gate(behind_port: int) -> AsyncIterator[Gate]:
    """A gate before a server of this host, until the block ends."""
    gate = Gate(behind_port)
    server = await asyncio.start_server(gate._connected, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        server.close()

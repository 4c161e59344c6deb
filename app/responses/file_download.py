"""File downloads that are generated while they are sent."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.problems.error_handlers import problem_of_error
from domain.exceptions import DomainError

_logger = logging.getLogger("app.export")


class FileDownload(Response):
    """Sends a file in chunks; each is generated after the previous one was sent, so memory use is independent of size.

    Stops when the client disconnects. If generating a chunk fails, the response ends without its last chunk, so clients
    recognise it as incomplete.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None], *, media_type: str, name: str) -> None:
        """Prepare to send `chunks` as the file `name`, which must not need quoting in the header."""
        super().__init__()
        self.raw_headers = [
            (b"content-type", media_type.encode()),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        self._chunks = chunks
        self._first_chunk = b""

    async def begin(self) -> Self:
        """Generate the first chunk, so that an error until then is raised and gets its own status."""
        self._first_chunk = await anext(self._chunks)
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        disconnect = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first_chunk, "more_body": True})
            async for chunk in self._chunks:
                if disconnect.done():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except DomainError as error:
            kind, _ = problem_of_error(error, scope)  # also sets the problem of the access log line
            _logger.warning("file download aborted: %s", kind.slug)
        finally:
            disconnect.cancel()
            await self._chunks.aclose()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""A file that is read while it is sent, and so never held as a whole."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.problems.error_handlers import problem_of_error
from domain.exceptions import DomainError

_logger = logging.getLogger("app.export")


class FileStream(Response):
    """Sends chunk after chunk, each made when the one before it is on its way.

    A client that leaves ends it. When a chunk cannot be made, the answer is broken off: there is no last chunk, so no
    client takes what it got for the whole.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None], *, media_type: str, name: str) -> None:
        """Send `chunks` as the file `name`, which needs no quoting."""
        super().__init__()
        self.raw_headers = [
            (b"content-type", media_type.encode()),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        self._chunks = chunks
        self._first = b""

    async def begin(self) -> Self:
        """Return once the first chunk is there, so that a failure before it keeps its own status; raises that."""
        self._first = await anext(self._chunks)
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for chunk in self._chunks:
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except DomainError as error:
            kind, _ = problem_of_error(error, scope)  # told in the access line
            _logger.warning("a file was broken off: %s", kind.slug)
        finally:
            leaving.cancel()
            await self._chunks.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""Inflates bodies that are compressed although none was requested."""

import asyncio
import zlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from infra.llm.transport.errors.answer_errors import UnreadableAnswer

_PIECE_BYTES = 64 * 1024
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_WINDOW_BITS = -15
_GZIP_START = b"\x1f\x8b"
_ZLIB_METHOD = 8


class Body(Protocol):
    """A stream of bytes."""

    @abstractmethod
    async def readany(self) -> bytes:
        """Return the bytes received, waiting for the first one; empty at the end."""
        ...

    @abstractmethod
    def is_eof(self) -> bool:
        """Return whether the end was received, so that reading does not wait."""
        ...


def body_of(response: aiohttp.ClientResponse) -> Body:
    """Return the body without compression.

    Raises:
        UnreadableAnswer: Its compression is not supported.
    """
    codings = _codings(response.headers)
    if not codings:
        return response.content
    if len(codings) > 1 or codings[0] not in _WINDOW_BITS:
        raise UnreadableAnswer("compressed in a way that was not requested")
    return InflatedBody(response.content, codings[0])


def _codings(headers: Mapping[str, str]) -> list[str]:
    field = headers.get("Content-Encoding")
    if not field:
        return []
    named = field.lower().split(",")
    return [coding for name in named if (coding := name.strip()) not in ("", "identity")]


class InflatedBody(Body):
    """Inflates a body piece by piece, as it is read.

    A few bytes may inflate to many, so no piece is larger than 64 KiB, and the event loop runs between two pieces of
    the same bytes. The reader limits the total size.
    """

    def __init__(self, content: aiohttp.StreamReader, coding: str) -> None:
        """Wrap a body.

        Args:
            content: The compressed body.
            coding: `gzip`, `x-gzip` or `deflate`.
        """
        self._content = content
        self._coding = coding
        self._inflater = zlib.decompressobj(_WINDOW_BITS[coding])
        self._rest = b""
        self._has_begun = False
        self._is_full = False  # the last piece had the largest size, so the inflater may hold more

    def is_eof(self) -> bool:
        return self._content.is_eof()

    async def readany(self) -> bytes:
        """Return the next inflated bytes.

        Raises:
            UnreadableAnswer: They are not compressed as the headers say.
        """
        while True:
            if self._rest or self._is_full:
                await asyncio.sleep(0)
            else:
                self._rest = await self._content.readany()
                if not self._rest:
                    return b""
            try:
                event = self._inflate()
            except zlib.error as exc:
                raise UnreadableAnswer("not compressed as its headers say") from exc
            if event:
                return event

    def _inflate(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            if self._coding == "deflate" and self._rest[0] & 0xF != _ZLIB_METHOD:
                # without the header that the standard requires, as some servers send it
                self._inflater = zlib.decompressobj(_RAW_WINDOW_BITS)
        if self._inflater.eof:
            if not self._rest.startswith(_GZIP_START):
                self._rest = b""  # padding
                return b""
            self._inflater = zlib.decompressobj(_WINDOW_BITS["gzip"])
        inflater = self._inflater
        event = inflater.decompress(self._rest, _PIECE_BYTES)
        self._rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        self._is_full = len(event) == _PIECE_BYTES and not inflater.eof
        return event

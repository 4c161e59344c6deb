"""Compression of bodies that does not block the event loop."""

import asyncio
import zlib

_LONG_BYTES = 64 * 1024
_LEVEL = 6


class TooLong(ValueError):
    """The decompressed body exceeds the limit."""


async def compressed(raw: bytes) -> bytes:
    """Return `raw` compressed by zlib; a long body is compressed in a thread."""
    if len(raw) < _LONG_BYTES:
        return zlib.compress(raw, _LEVEL)
    return await asyncio.to_thread(zlib.compress, raw, _LEVEL)


async def decompressed(packed: bytes, *, max_bytes: int) -> bytes:
    """Return the decompressed body.

    Raises:
        TooLong: It is longer than `max_bytes`; decompression stopped there.
        zlib.error: It is not compressed, or truncated.
    """
    if len(packed) < _LONG_BYTES // 8:
        return _unpack(packed, max_bytes)
    return await asyncio.to_thread(_unpack, packed, max_bytes)


def _unpack(packed: bytes, max_bytes: int) -> bytes:
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(packed, max_bytes + 1)
    if len(raw) > max_bytes:
        raise TooLong("unpacks to more than allowed")
    if not unpacking.eof:
        raise zlib.error("cut off")
    return raw

"""Bodies made smaller, without holding up the event loop."""

import asyncio
import zlib

_LONG_BYTES = 64 * 1024
_LEVEL = 6


class TooLong(ValueError):
    """It would unpack to more than anybody put in."""


async def compressed(raw: bytes) -> bytes:
    """Return `raw` as zlib writes it; what takes milliseconds is done in a thread."""
    if len(raw) < _LONG_BYTES:
        return zlib.compress(raw, _LEVEL)
    return await asyncio.to_thread(zlib.compress, raw, _LEVEL)


async def decompressed(packed: bytes, *, max_bytes: int) -> bytes:
    """Return what `compressed` was given.

    Raises:
        TooLong: More than `max_bytes`; no more than that was unpacked.
        zlib.error: Not of `compressed`, or cut off.
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

"""Bodies of stored documents and items: JSON, compressed where it is long."""

import zlib

from domain.exceptions import Unstorable
from infra.history.format.compression import compressed, decompressed
from infra.history.format.documents import UnreadableDocument

MAX_BODY_BYTES = 128 * 1024 * 1024
"""Of a body after decompression: far above what a request and its answer contain."""

# A compressed body begins with the header of zlib, a body of JSON with a bracket.
_PACKED = b"\x78"


async def packed(body: bytes, *, from_bytes: int, max_bytes: int) -> bytes:
    """Return `body`, compressed if it has at least `from_bytes`.

    Raises:
        Unstorable: It still has more than `max_bytes`.
    """
    if len(body) >= from_bytes:
        body = await compressed(body)
    if len(body) > max_bytes:
        raise Unstorable("longer than the store takes at once")
    return body


async def unpacked(stored: bytes) -> bytes:
    """Return the body that `packed` compressed.

    Raises:
        UnreadableDocument: It is damaged.
    """
    if stored[:1] != _PACKED:
        return stored
    try:
        return await decompressed(stored, max_bytes=MAX_BODY_BYTES)
    except (ValueError, zlib.error) as exc:
        raise UnreadableDocument("cannot be decompressed") from exc

"""Compressed request bodies: `Content-Encoding: gzip` and `zstd` (RFC 9110, 8.4; RFC 9659)."""

import zlib
from collections.abc import Sequence
from enum import StrEnum

ACCEPTED = "gzip, zstd, identity"

_MAX_MEMBERS = 1000
"""Limits the time that a body of many empty members takes."""
_GZIP_WINDOW_BITS = 31
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""Maximum window size of this content coding (RFC 9659)."""
_ZSTD_CHUNK_BYTES = 64
"""Small, since four bytes of zstd can expand to 128 KiB, and the library decompresses all of its input at once."""


class Coding(StrEnum):
    """A supported content coding."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


# On Python 3.11 a lookup in the class takes forty times as long, and these are made for every chat.
IDENTITY = Coding.IDENTITY

_BY_NAME = {
    "": Coding.IDENTITY,
    "identity": Coding.IDENTITY,
    "gzip": Coding.GZIP,
    "x-gzip": Coding.GZIP,
    "zstd": Coding.ZSTD,
}


class UnsupportedCoding(ValueError):
    """The content coding is not supported, or there are several."""


class InvalidCompressedBody(ValueError):
    """The body is not valid data of its content coding, or is incomplete."""


class DecompressedBodyTooLarge(ValueError):
    """The decompressed body exceeds the size limit."""


def parse_content_encoding(values: Sequence[str]) -> Coding:
    """Return the coding named by the values of all `Content-Encoding` headers; identity without a header.

    Raises:
        UnsupportedCoding: The coding is not supported, or there are several, in one header or in more.
    """
    if not values:
        return IDENTITY
    coding = _BY_NAME.get(values[0].strip().lower())
    if coding is None or len(values) > 1:
        raise UnsupportedCoding
    return coding


def decompress(coding: Coding, body: bytes, *, limit_bytes: int) -> bytes:
    """Return the decompressed `body`, which may consist of several members, as both formats allow.

    Uses little more memory than `limit_bytes`, whatever the decompressed size.

    Raises:
        InvalidCompressedBody: The body is invalid, incomplete, or has more than 1 000 members.
        DecompressedBodyTooLarge: The result exceeds `limit_bytes`.
    """
    if coding is Coding.GZIP:
        return _gunzip(body, limit_bytes)
    if coding is Coding.ZSTD:
        return _unzstd(body, limit_bytes)
    return body


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    decompressed = bytearray()
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            decompressed += member.decompress(body, limit_bytes + 1 - len(decompressed))
        except zlib.error as exc:
            raise InvalidCompressedBody from exc
        if len(decompressed) > limit_bytes:
            raise DecompressedBodyTooLarge
        if not member.eof:
            raise InvalidCompressedBody
        body = member.unused_data
        if not body.strip(b"\0"):  # some encoders pad the end with zeros
            return bytes(decompressed)
    raise InvalidCompressedBody


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    import zstandard  # imported on first use, since few clients send zstd

    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    decompressed = bytearray()
    rest = memoryview(body)
    for _ in range(_MAX_MEMBERS):
        frame = decompressor.decompressobj()
        while rest and not frame.eof:
            chunk, rest = rest[:_ZSTD_CHUNK_BYTES], rest[_ZSTD_CHUNK_BYTES:]
            try:
                decompressed += frame.decompress(chunk)
            except zstandard.ZstdError as exc:
                raise InvalidCompressedBody from exc
            if len(decompressed) > limit_bytes:
                raise DecompressedBodyTooLarge
        if not frame.eof:
            raise InvalidCompressedBody
        unused_bytes = len(frame.unused_data)
        rest = memoryview(body)[len(body) - len(rest) - unused_bytes :]
        if not rest:
            return bytes(decompressed)
    raise InvalidCompressedBody

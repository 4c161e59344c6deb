"""Compressed request bodies: `Content-Encoding: gzip` and `zstd` (RFC 9110, 8.4; RFC 9659)."""

import zlib
from collections.abc import Sequence
from enum import StrEnum

ACCEPTED = "gzip, zstd, identity"

_MAX_MEMBERS = 1000
"""A body of empty members would cost much time for its size."""
_GZIP_WINDOW_BITS = 31
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""The largest window that RFC 9659 allows for this content coding."""
_ZSTD_PIECE_BYTES = 64
"""Four bytes of zstd can stand for 128 KiB, and the library inflates all of what it is given."""


class Coding(StrEnum):
    """A content coding that is read."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


_BY_NAME = {
    "": Coding.IDENTITY,
    "identity": Coding.IDENTITY,
    "gzip": Coding.GZIP,
    "x-gzip": Coding.GZIP,
    "zstd": Coding.ZSTD,
}


class UnknownCoding(ValueError):
    """The body is in a coding that is not read, or in several."""


class NotInflatable(ValueError):
    """The bytes are not what the coding says, or end before their end."""


class TooLargeInflated(ValueError):
    """The inflated body is larger than allowed."""


def coding_of(values: Sequence[str]) -> Coding:
    """Return the coding that the `Content-Encoding` headers name; without one it is the identity.

    Raises:
        UnknownCoding: It is another one, or there are several, be it in one header or in two.
    """
    if not values:
        return Coding.IDENTITY
    coding = _BY_NAME.get(values[0].strip().lower())
    if coding is None or len(values) > 1:
        raise UnknownCoding
    return coding


def inflate(coding: Coding, body: bytes, *, limit_bytes: int) -> bytes:
    """Return `body` without its coding; it may consist of several members, as both formats allow.

    Holds little more than `limit_bytes` in memory, whatever `body` would inflate to.

    Raises:
        NotInflatable: The bytes are not what the coding says, or end too early, or are more than 1 000 members.
        TooLargeInflated: There are more than `limit_bytes`.
    """
    if coding is Coding.GZIP:
        return _gunzip(body, limit_bytes)
    if coding is Coding.ZSTD:
        return _unzstd(body, limit_bytes)
    return body


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    inflated = bytearray()
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            inflated += member.decompress(body, limit_bytes + 1 - len(inflated))
        except zlib.error as exc:
            raise NotInflatable from exc
        if len(inflated) > limit_bytes:
            raise TooLargeInflated
        if not member.eof:
            raise NotInflatable
        body = member.unused_data
        if not body.strip(b"\0"):  # some writers pad the end
            return bytes(inflated)
    raise NotInflatable


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    import zstandard  # only a client that sends such a body pays for it

    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    inflated = bytearray()
    rest = memoryview(body)
    for _ in range(_MAX_MEMBERS):
        frame = decompressor.decompressobj()
        while rest and not frame.eof:
            event, rest = rest[:_ZSTD_PIECE_BYTES], rest[_ZSTD_PIECE_BYTES:]
            try:
                inflated += frame.decompress(event)
            except zstandard.ZstdError as exc:
                raise NotInflatable from exc
            if len(inflated) > limit_bytes:
                raise TooLargeInflated
        if not frame.eof:
            raise NotInflatable
        unused_bytes = len(frame.unused_data)
        rest = memoryview(body)[len(body) - len(rest) - unused_bytes :]
        if not rest:
            return bytes(inflated)
    raise NotInflatable

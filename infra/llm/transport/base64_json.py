"""Bytes as base64 in JSON."""

from binascii import b2a_base64
from collections.abc import Iterator

import orjson

_BYTES_AT_ONCE = 3 * 64 * 1024
"""A multiple of three. Encoding holds the interpreter's lock, so other threads run between the pieces alone."""


def base64_string(content: bytes, prefix: str = "") -> orjson.Fragment:
    """Return a JSON string of `prefix` and the content in base64, without further copies of the text."""
    return orjson.Fragment(b"".join(_pieces(content, prefix)))


def _pieces(content: bytes, prefix: str) -> Iterator[bytes]:
    yield orjson.dumps(prefix)[:-1]
    view = memoryview(content)
    for start in range(0, len(view), _BYTES_AT_ONCE):
        yield b2a_base64(view[start : start + _BYTES_AT_ONCE], newline=False)
    yield b'"'

"""Bytes as base64 in JSON."""

from binascii import b2a_base64
from io import BytesIO

import orjson

_BYTES_AT_ONCE = 3 * 16 * 1024
"""A multiple of three. Encoding holds the interpreter's lock, so other threads run between the pieces alone."""


def base64_string(content: bytes, prefix: str = "") -> orjson.Fragment:
    """Return a JSON string of `prefix` and the content in base64, without further copies of the text."""
    text = BytesIO()
    text.write(orjson.dumps(prefix)[:-1])
    view = memoryview(content)
    for start in range(0, len(view), _BYTES_AT_ONCE):
        text.write(b2a_base64(view[start : start + _BYTES_AT_ONCE], newline=False))
    text.write(b'"')
    return orjson.Fragment(text.getvalue())

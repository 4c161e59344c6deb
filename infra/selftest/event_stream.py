"""Frames of AWS's event streams."""

import struct
import zlib
from collections.abc import Mapping

import orjson

_STRING = 7  # the type of a header's value


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a message with its prelude and checksums."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(kind: str, document: object) -> bytes:
    """Return the message of an event; `document` may be bytes already."""
    payload = document if isinstance(document, bytes) else orjson.dumps(document)
    return frame(_headers("event", kind), payload)


def exception(kind: str, message: str) -> bytes:
    """Return the message of an exception in mid-stream."""
    return frame(_headers("exception", kind), orjson.dumps({"message": message}))


def _headers(message_type: str, kind: str) -> dict[str, str]:
    return {
        f":{message_type}-type": kind,
        ":content-type": "application/json",
        ":message-type": message_type,
    }


def _header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return (
        struct.pack(">B", len(name))
        + name.encode()
        + struct.pack(">BH", _STRING, len(encoded))
        + encoded
    )

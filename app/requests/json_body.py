"""Reads JSON request bodies; checks media type, content coding, size and syntax."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.types import Receive

from app.problems.problem_table import (
    BODY_TOO_LARGE,
    MALFORMED_BODY,
    MALFORMED_REQUEST,
    UNSUPPORTED_CONTENT_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
)
from app.problems.request_body_error import RequestBodyError
from app.requests.content_encoding import (
    ACCEPTED,
    IDENTITY,
    Coding,
    DecompressedBodyTooLarge,
    InvalidCompressedBody,
    UnsupportedCoding,
    decompress,
    parse_content_encoding,
)
from app.requests.large_bodies import (
    LARGE_FROM_BYTES,
    MAX_STRINGS_IN_LARGE_BODY,
    MAX_VALUES_IN_LARGE_BODY,
    HeldBody,
)

_ESCAPED_BACKSLASH = rb"\\"
_ESCAPED_QUOTE = rb"\""
_NO_MARKS = bytes(set(range(256)).difference(b'",[{'))
"""All bytes but those that enclose a string, or with which a value or a further one begins."""


async def read_json(
    receive: Receive,
    *,
    content_type: str,
    content_encodings: Sequence[str],
    content_length: str = "",
    limit_bytes: int,
    max_depth: int,
    held_body: HeldBody,
) -> Any:
    """Return the JSON value of a request's body.

    Args:
        receive: ASGI `receive` of the request.
        content_type: Value of the Content-Type header; empty without one.
        content_encodings: Value of each Content-Encoding header.
        content_length: Value of the Content-Length header; empty without one.
        limit_bytes: Maximum size of the body, before and after decompression.
        max_depth: Maximum nesting.
        held_body: Counts the memory of large bodies.

    Raises:
        Overloaded: There are too many large bodies at once.
        RequestBodyError: The media type or content coding is not supported, or the body is too large, incomplete or not
            plain JSON.
    """
    if not _is_json(content_type):
        raise RequestBodyError(UNSUPPORTED_MEDIA_TYPE)
    try:
        coding = parse_content_encoding(content_encodings)
    except UnsupportedCoding as exc:
        raise RequestBodyError(UNSUPPORTED_CONTENT_ENCODING, {"Accept-Encoding": ACCEPTED}) from exc
    if content_length.isdecimal() and int(content_length) > limit_bytes:
        raise RequestBodyError(BODY_TOO_LARGE)  # before any of it is received
    body = await _read_bytes(receive, limit_bytes, held_body)
    if coding is not IDENTITY:
        body = await _decompress(coding, body, limit_bytes)
        held_body.grow_to(len(body))
    if len(body) > LARGE_FROM_BYTES and _has_many_values(body):
        raise RequestBodyError(BODY_TOO_LARGE)
    return parse_json(body, max_depth)


def parse_json(body: bytes, max_depth: int) -> Any:
    """Return the JSON value in `body`.

    Stricter than the standard library: rejects NaN, lone surrogates, invalid UTF-8, a byte order mark (all by orjson),
    repeated keys, and nesting deeper than `max_depth`.

    Raises:
        RequestBodyError: The body is not valid; the problem is the same for all causes.
    """
    try:
        value = orjson.loads(body)
        # A repeated key is a string in the text that is missing from the parsed value.
        if _count_strings(value, max_depth) != _count_encoded_strings(body):
            raise ValueError("repeated key")
    except ValueError as exc:
        raise RequestBodyError(MALFORMED_BODY) from exc
    return value


async def _read_bytes(receive: Receive, limit_bytes: int, held_body: HeldBody) -> bytes:
    chunks: list[bytes] = []
    size_bytes = 0
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            # The client disconnected, so this problem appears only in the log.
            raise RequestBodyError(MALFORMED_REQUEST)
        chunk = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise RequestBodyError(BODY_TOO_LARGE)
        held_body.grow_to(size_bytes)
        chunks.append(chunk)
        has_more = message.get("more_body", False)
    return b"".join(chunks)


async def _decompress(coding: Coding, body: bytes, limit_bytes: int) -> bytes:
    if not body:
        raise RequestBodyError(MALFORMED_BODY)
    try:
        return await asyncio.to_thread(decompress, coding, body, limit_bytes=limit_bytes)
    except DecompressedBodyTooLarge as exc:
        raise RequestBodyError(BODY_TOO_LARGE) from exc
    except InvalidCompressedBody as exc:
        raise RequestBodyError(MALFORMED_BODY) from exc


def _has_many_values(body: bytes) -> bool:
    """Return whether the JSON text `body` has more strings or values than a large body may have."""
    marks = body.translate(None, _NO_MARKS)
    quotes = marks.count(b'"')
    if quotes > 2 * MAX_STRINGS_IN_LARGE_BODY:
        return True
    if len(marks) - quotes <= MAX_VALUES_IN_LARGE_BODY:
        return False  # the common case, without the cost of leaving out the strings
    without_escapes = body.replace(_ESCAPED_BACKSLASH, b"").replace(_ESCAPED_QUOTE, b"")
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    return len(outside_strings.translate(None, _NO_MARKS)) > MAX_VALUES_IN_LARGE_BODY


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":
        return True
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != "application/json":
        return False
    charset = parameters.strip().lower().replace('"', "")
    return not charset.startswith("charset=") or charset in ("charset=utf-8", "charset=utf8")


def _count_encoded_strings(body: bytes) -> int:
    """Return the number of strings, including keys, in the JSON text `body`, which must be valid."""
    quotes = body.count(b'"')
    if _ESCAPED_QUOTE in body:
        # Without escaped backslashes, which are found from left to right, each backslash starts an escape.
        quotes -= body.replace(_ESCAPED_BACKSLASH, b"").count(_ESCAPED_QUOTE)
    return quotes // 2


def _count_strings(value: Any, max_depth: int) -> int:
    """Return the number of strings, including keys, in `value`; raises `ValueError` if it is nested deeper than allowed."""
    kind = type(value)
    if kind is str:
        return 1
    if kind is not dict and kind is not list:
        return 0
    if not max_depth:
        raise ValueError("too deep")
    strings = 0
    children = value
    if kind is dict:
        strings = len(value)
        children = value.values()
    for child in children:
        if type(child) is str:  # the common case, without the cost of a call
            strings += 1
        else:
            strings += _count_strings(child, max_depth - 1)
    return strings

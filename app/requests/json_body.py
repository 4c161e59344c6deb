"""Reads a request body: media type, content coding, size and JSON."""

import asyncio
import re
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
from app.problems.refused_body import RefusedBody
from app.requests.content_encoding import (
    ACCEPTED,
    Coding,
    NotInflatable,
    TooLargeInflated,
    UnknownCoding,
    coding_of,
    inflate,
)

_ESCAPES = re.compile(rb'\\[\\"]')
"""Matches from left to right, so that the second of two backslashes escapes nothing; JSON has them in strings only."""


async def read_json(
    receive: Receive,
    *,
    content_type: str,
    content_encodings: Sequence[str],
    limit_bytes: int,
    max_depth: int,
) -> Any:
    """Return the JSON value of a request's body.

    Args:
        receive: The request's ASGI callable.
        content_type: Value of the header; empty where there is none.
        content_encodings: Value of each such header.
        limit_bytes: Largest body, before and after inflating.
        max_depth: Deepest nesting.

    Raises:
        RefusedBody: It is of another media type or content coding, too large, incomplete, or not plain JSON.
    """
    if not _is_json(content_type):
        raise RefusedBody(UNSUPPORTED_MEDIA_TYPE)
    try:
        coding = coding_of(content_encodings)
    except UnknownCoding as exc:
        raise RefusedBody(UNSUPPORTED_CONTENT_ENCODING, {"Accept-Encoding": ACCEPTED}) from exc
    body = await _read_bytes(receive, limit_bytes)
    if coding is not Coding.IDENTITY:
        body = await _inflated(coding, body, limit_bytes)
    return parse_json(body, max_depth)


def parse_json(body: bytes, max_depth: int) -> Any:
    """Return the JSON value in `body`.

    Stricter than the standard library: no NaN, no lone surrogates, no invalid UTF-8, no byte order mark (orjson), no
    repeated keys, no nesting deeper than `max_depth`.

    Raises:
        RefusedBody: The body is any of these; one problem covers them all.
    """
    try:
        value = orjson.loads(body)
        # A repeated key is a string of the text that the parsed value lacks.
        if _strings_in(value, max_depth) != _strings_written(body):
            raise ValueError("repeated key")
    except ValueError as exc:
        raise RefusedBody(MALFORMED_BODY) from exc
    return value


async def _read_bytes(receive: Receive, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size_bytes = 0
    has_more = True
    while has_more:
        message = await receive()
        if (
            message["type"] != "http.request"
        ):  # the client disconnected, so only the log shows this answer
            raise RefusedBody(MALFORMED_REQUEST)
        chunk = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise RefusedBody(BODY_TOO_LARGE)
        chunks.append(chunk)
        has_more = message.get("more_body", False)
    return b"".join(chunks)


async def _inflated(coding: Coding, body: bytes, limit_bytes: int) -> bytes:
    if not body:
        raise RefusedBody(MALFORMED_BODY)
    try:
        return await asyncio.to_thread(inflate, coding, body, limit_bytes=limit_bytes)
    except TooLargeInflated as exc:
        raise RefusedBody(BODY_TOO_LARGE) from exc
    except NotInflatable as exc:
        raise RefusedBody(MALFORMED_BODY) from exc


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":
        return True
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != "application/json":
        return False
    charset = parameters.strip().lower().replace('"', "")
    return not charset.startswith("charset=") or charset in ("charset=utf-8", "charset=utf8")


def _strings_written(body: bytes) -> int:
    """Return how many strings, keys included, `body` has, which is valid JSON."""
    quotes = body.count(b'"')
    if b"\\" in body:
        quotes -= _ESCAPES.findall(body).count(b'\\"')
    return quotes // 2


def _strings_in(value: Any, levels: int) -> int:
    """Return how many strings, keys included, `value` has; raises `ValueError` when it has more than `levels`."""
    kind = type(value)
    if kind is str:
        return 1
    if kind is not dict and kind is not list:
        return 0
    if not levels:
        raise ValueError("too deep")
    strings = 0
    children = value
    if kind is dict:
        strings = len(value)
        children = value.values()
    for child in children:
        if type(child) is str:  # most are, and a call for each would cost more than all of this
            strings += 1
        else:
            strings += _strings_in(child, levels - 1)
    return strings

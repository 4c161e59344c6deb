"""Routes that look at what they get before a controller runs: media type, size, JSON and, unless they are lenient, the query."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

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
"""From left to right, so that of two backslashes the second escapes nothing; there are none outside of strings."""


def parse_json(body: bytes, max_depth: int) -> Any:
    """Return what `body` holds.

    Stricter than the standard library: no NaN, no lone surrogates, no bad UTF-8, no BOM (orjson), no repeated
    keys, nothing nested deeper than `max_depth`.

    Raises:
        RefusedBody: Any of these; what is wrong is not told apart.
    """
    try:
        value = orjson.loads(body)
        # A repeated key is a string that was written and is not there any more.
        if _strings_in(value, max_depth) != _strings_written(body):
            raise ValueError("repeated key")
    except ValueError as exc:
        raise RefusedBody(MALFORMED_BODY) from exc
    return value


def _strings_written(body: bytes) -> int:
    """Return how many strings, keys included, stand in `body`, which is valid JSON."""
    quotes = body.count(b'"')
    if b"\\" in body:
        quotes -= _ESCAPES.findall(body).count(b'\\"')
    return quotes // 2


def _strings_in(value: Any, levels: int) -> int:
    """Return how many strings, keys included, are in `value`; raises `ValueError` when it has more `levels`."""
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
        if type(child) is str:  # most are, and a call each would cost more than all of this
            strings += 1
        else:
            strings += _strings_in(child, levels - 1)
    return strings


class StrictRequest(Request):
    """A request whose body is JSON, and no more than we take."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            limits = self.app.state.limits
            if not _is_json(self.headers.get("content-type", "")):
                raise RefusedBody(UNSUPPORTED_MEDIA_TYPE)
            try:
                coding = coding_of(self.headers.getlist("content-encoding"))
            except UnknownCoding as exc:
                raise RefusedBody(
                    UNSUPPORTED_CONTENT_ENCODING, {"Accept-Encoding": ACCEPTED}
                ) from exc
            chunks: list[bytes] = []
            size_bytes = 0
            try:
                async for chunk in self.stream():
                    size_bytes += len(chunk)
                    if size_bytes > limits.body_bytes:
                        raise RefusedBody(BODY_TOO_LARGE)
                    chunks.append(chunk)
            except ClientDisconnect as exc:  # nobody reads the answer, but it is no fault of ours
                raise RefusedBody(MALFORMED_REQUEST) from exc
            if not size_bytes:
                raise RefusedBody(MALFORMED_BODY)
            body = b"".join(chunks)
            if coding is not Coding.IDENTITY:
                body = await _inflated(coding, body, limits.body_bytes)
            self._body = body
        return self._body

    async def json(self) -> Any:
        return parse_json(await self.body(), self.app.state.limits.json_depth)


async def _inflated(coding: Coding, body: bytes, limit_bytes: int) -> bytes:
    try:
        return await asyncio.to_thread(inflate, coding, body, limit_bytes=limit_bytes)
    except TooLargeInflated as exc:
        raise RefusedBody(BODY_TOO_LARGE) from exc
    except NotInflatable as exc:
        raise RefusedBody(MALFORMED_BODY) from exc


def _is_json(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != "application/json":
        return False
    charset = parameters.strip().lower().replace('"', "")
    return not charset.startswith("charset=") or charset in ("charset=utf-8", "charset=utf8")


class LenientRoute(APIRoute):
    """Refuses bodies that are not plain JSON; what the query says and no route asks for is nobody's business."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return checked


class StrictRoute(LenientRoute):
    """Refuses unknown and repeated query parameters as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known, repeatable = _query_names(self.dependant)

        async def strictly(request: Request) -> Response:
            if request.scope["query_string"]:
                _check_query(request, known, repeatable)
            return await handle(request)

        return strictly


def _check_query(request: Request, known: frozenset[str], repeatable: frozenset[str]) -> None:
    errors = []
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            errors.append({"type": "extra_forbidden", "loc": ("query", name)})
        elif name in seen and name not in repeatable:
            errors.append({"type": "repeated", "loc": ("query", name)})
        seen.add(name)
    if errors:
        raise RequestValidationError(errors)


def _query_names(dependant: Dependant) -> tuple[frozenset[str], frozenset[str]]:
    """Return every query parameter a route takes, and those of them that may be repeated."""
    known: set[str] = set()
    repeatable: set[str] = set()
    for parameter in dependant.query_params:
        model = parameter.field_info.annotation
        for name, field in getattr(
            model, "model_fields", {parameter.alias: parameter.field_info}
        ).items():
            alias = field.alias or name
            known.add(alias)
            if getattr(field.annotation, "__origin__", None) is list:
                repeatable.add(alias)
    for inner in dependant.dependencies:
        inner_known, inner_repeatable = _query_names(inner)
        known |= inner_known
        repeatable |= inner_repeatable
    return frozenset(known), frozenset(repeatable)

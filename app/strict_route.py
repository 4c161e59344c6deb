"""Routes that look at what they get before a controller runs: media type, size, JSON and, unless they are lenient, the query."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from app.problem_table import (
    BODY_TOO_LARGE,
    MALFORMED_BODY,
    MALFORMED_REQUEST,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemKind,
)


class RefusedBody(HTTPException):
    """The body cannot be taken.

    An `HTTPException`, because FastAPI lets no other exception out of reading a body as it is.
    """

    def __init__(self, kind: ProblemKind) -> None:
        super().__init__(kind.status)
        self.kind = kind


def parse_json(body: bytes, max_depth: int) -> Any:
    """Return what `body` holds.

    Stricter than the standard library: no NaN, no lone surrogates, no bad UTF-8, no BOM (orjson), no repeated
    keys, nothing nested deeper than `max_depth`.

    Raises:
        RefusedBody: Any of these; what is wrong is not told apart.
    """
    try:
        value = orjson.loads(body)
        if body.count(b"{") + body.count(b"[") > max_depth:
            _refuse_deeper_than(max_depth, value)
        # Only the standard library shows repeated keys. Numbers were checked above and are not wanted here:
        # a digit string of thousands would be refused by `int`.
        json.loads(body, object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)
    except ValueError as exc:
        raise RefusedBody(MALFORMED_BODY) from exc
    return value


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("repeated key")


def _refuse_deeper_than(max_depth: int, value: Any) -> None:
    level = [value]
    for _ in range(max_depth):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError("too deep")


class StrictRequest(Request):
    """A request whose body is JSON, and no more than we take."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            limits = self.app.state.limits
            if not _is_json(self.headers.get("content-type", "")):
                raise RefusedBody(UNSUPPORTED_MEDIA_TYPE)
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
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        return parse_json(await self.body(), self.app.state.limits.json_depth)


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

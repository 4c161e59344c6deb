"""Converts exceptions to error responses; the only place that maps domain errors to HTTP statuses."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from app.dto.attempt import AttemptDto
from app.problems import anthropic_errors as anthropic
from app.problems import openai_errors as openai
from app.problems import problem_table as table
from app.problems.field_errors import UNSUPPORTED, field_errors
from app.problems.problem_schema import MEDIA_TYPE
from app.problems.problem_table import ProblemKind, problem_body
from app.problems.request_body_error import RequestBodyError
from domain.entities.chat_request_context import Operation
from domain.exceptions import (
    DomainError,
    Forbidden,
    InvalidAttachment,
    InvalidInput,
    ItemNotFound,
    LLMError,
    NoSuchOpenCall,
    PreviousResponseNotFound,
    RateLimited,
    RetiredModel,
    ToolResultsMissing,
    UnknownModel,
    UnsupportedByModel,
    UnsupportedInput,
)

_BY_CODE: Mapping[str, ProblemKind] = {
    kind.slug: kind
    for kind in table.PROBLEMS
    if kind.slug != "forbidden" and kind is not table.NO_SUCH_OPEN_CALL
}
_FORBIDDEN: Mapping[str, ProblemKind] = {
    Forbidden.USER: table.FORBIDDEN_USER,
    Forbidden.SCOPE: table.FORBIDDEN_SCOPE,
    Forbidden.CLIENT: table.FORBIDDEN_CLIENT,
    Forbidden.HOST: table.FORBIDDEN_HOST,
    Forbidden.PROXY: table.FORBIDDEN_PROXY,
}
_BY_STATUS: Mapping[int, ProblemKind] = {
    404: table.NOT_FOUND,
    405: table.METHOD_NOT_ALLOWED,
    413: table.BODY_TOO_LARGE,
}
_MAX_RETRY_AFTER_SECONDS = 60
_MAX_LISTED_CALLS = 20
_SAFE_CALL_ID = re.compile(r"[A-Za-z0-9_.:|+/=-]{1,128}", re.ASCII)


def problem_of(error: DomainError) -> ProblemKind:
    """Return the kind of problem for `error`."""
    if isinstance(error, Forbidden):
        return _FORBIDDEN[error.cause]
    if isinstance(error, NoSuchOpenCall):
        return table.NO_SUCH_OPEN_CALL
    return _BY_CODE[error.code]


def problem_of_code(code: str) -> ProblemKind:
    """Return the kind of problem for the `error` of an interaction, which an earlier version may have stored."""
    return _BY_CODE.get(code, table.INTERNAL)


def problem_of_error(error: DomainError, scope: Scope) -> tuple[ProblemKind, dict[str, Any]]:
    """Return the kind of problem for `error` and the problem object, with provider calls and invalid fields if known.

    Sets `problem` in the scope's state, for the access log and the metrics.
    """
    kind = problem_of(error)
    scope["state"]["problem"] = kind.slug
    if isinstance(error, RateLimited):
        scope["state"]["limit"] = error.limit
    members: dict[str, Any] = {}
    if errors := _invalid_fields(error):
        members["errors"] = errors
    context = scope["state"].get("chat_context")
    if context is not None and context.attempts:
        members["attempts"] = [
            AttemptDto.from_attempt(attempt).model_dump(by_alias=True)
            for attempt in context.attempts
        ]
    return kind, problem_body(kind, scope["state"]["request_id"], **members)


def problem_response(kind: ProblemKind, scope: Scope, **members: Any) -> Response:
    """Return the response for a kind of problem, in the error format of the route."""
    scope["state"]["problem"] = kind.slug
    return _response(kind, problem_body(kind, scope["state"]["request_id"], **members), scope)


def error_response(error: DomainError, scope: Scope) -> Response:
    """Return the response for `error`, in the error format of the route."""
    kind, body = problem_of_error(error, scope)
    return _response(kind, body, scope, _retry_after_seconds(kind, error))


def request_error_response(
    error: DomainError | RequestBodyError | RequestValidationError, scope: Scope
) -> Response:
    """Return the response for an error raised by a route."""
    if isinstance(error, DomainError):
        return error_response(error, scope)
    if isinstance(error, RequestBodyError):
        response = problem_response(error.kind, scope)
        response.headers.update(error.headers or {})
        return response
    errors = error.errors()
    unsupported = [detail for detail in errors if detail["type"] == UNSUPPORTED]
    kind = table.UNSUPPORTED_PARAMETER if unsupported else table.INVALID_REQUEST
    return problem_response(kind, scope, errors=field_errors(unsupported or errors))


def install(app: FastAPI) -> None:
    """Register handlers that turn every error raised by a route into a problem response."""

    async def request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, (DomainError, RequestBodyError, RequestValidationError))
        return request_error_response(error, request.scope)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = _BY_STATUS.get(error.status_code, table.INTERNAL)
        response = problem_response(kind, request.scope)
        if error.status_code == table.METHOD_NOT_ALLOWED.status:
            methods = set(_allowed_methods(request))
            if "GET" in methods:
                methods.add("HEAD")  # handled by the HeadRequests middleware
            response.headers["Allow"] = ", ".join(sorted(methods))
        return response

    async def unexpected_error(request: Request, error: Exception) -> Response:
        return problem_response(table.INTERNAL, request.scope)

    for kind in (DomainError, RequestBodyError, RequestValidationError):
        app.add_exception_handler(kind, request_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected_error)


def _allowed_methods(request: Request) -> Iterable[str]:
    """Return the methods of all routes that match the path; the framework reports only those of the first."""
    methods: set[str] = set()
    for route in _flatten_routes(request.app.router.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return methods


def _flatten_routes(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield all routes; included routers are replaced by their routes."""
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from _flatten_routes(router.routes)


def _response(
    kind: ProblemKind, body: dict[str, Any], scope: Scope, retry_after_seconds: int | None = None
) -> Response:
    if openai.uses_openai_errors(scope["path"]):
        response = Response(
            orjson.dumps(openai.openai_error(kind, scope["path"], body.get("errors", ()))),
            status_code=openai.openai_status(kind),
            headers={"x-should-retry": openai.should_retry(kind)},
            media_type=openai.MEDIA_TYPE,
        )
    elif anthropic.uses_anthropic_errors(scope["path"]):
        request_id = scope["state"]["request_id"]
        response = Response(
            orjson.dumps(anthropic.anthropic_error(kind, body.get("errors", ()), request_id)),
            status_code=anthropic.anthropic_status(kind),
            headers={"x-should-retry": openai.should_retry(kind)},
            media_type=anthropic.MEDIA_TYPE,
        )
    else:
        response = Response(orjson.dumps(body), status_code=kind.status, media_type=MEDIA_TYPE)
    seconds = retry_after_seconds or kind.retry_after_seconds
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    context = scope["state"].get("chat_context")
    if context is not None and context.operation is Operation.CHAT:
        response.headers["X-Interaction-Id"] = context.id
        if context.is_replayed:
            response.headers["Idempotency-Replayed"] = "true"
    return response


def _retry_after_seconds(kind: ProblemKind, error: DomainError) -> int | None:
    """Return the delay of the error in whole seconds; None without one, or if the kind of problem sends no delay."""
    if isinstance(error, RateLimited):
        return whole_retry_seconds(error.retry_after_seconds)
    if kind.retry_after_seconds is None or not isinstance(error, LLMError):
        return None
    if error.retry_after_seconds is None:
        return None
    return min(whole_retry_seconds(error.retry_after_seconds), _MAX_RETRY_AFTER_SECONDS)


def whole_retry_seconds(seconds: float) -> int:
    """Return a delay for `Retry-After`: rounded up, and at least 1, since 0 would cause an immediate retry."""
    return max(1, ceil(seconds))


def _invalid_fields(error: DomainError) -> list[dict[str, str]]:
    if isinstance(error, InvalidInput):
        message = error.message
        if isinstance(error, NoSuchOpenCall):
            message = f"{message}: {_listed(error.call_ids)}"
        return [{"pointer": f"/{to_camel(error.field)}", "message": message}]
    if isinstance(error, RetiredModel) and error.successor is not None:
        return [{"pointer": "/model", "message": f"retired; its successor is {error.successor}"}]
    if isinstance(error, PreviousResponseNotFound):
        return [{"pointer": "/previousResponseId", "message": "no response with this id"}]
    if isinstance(error, ItemNotFound):
        return [{"pointer": "/input", "message": f"no item with id {_listed([error.item_id])}"}]
    if isinstance(error, UnsupportedInput):
        detail = f"not supported by this service: {error.detail}" if error.detail else ""
        return [
            {
                "pointer": f"/{to_camel(error.field)}",
                "message": detail or "not supported by this service",
            }
        ]
    if isinstance(error, ToolResultsMissing):
        message = f"no result for {_listed(error.call_ids)}"
        return [{"pointer": "/toolResults", "message": message}]
    if isinstance(error, InvalidAttachment):
        field = error.field or "attachments"
        number = "" if error.position is None else f"/{error.position}"
        return [{"pointer": f"/{field}{number}", "message": error.message}]
    if isinstance(error, UnsupportedByModel):
        models = ", ".join(error.models) or "none"
        message = f"does not support {error.capability}; models that do: {models}"
        return [{"pointer": "/model", "message": message}]
    if isinstance(error, UnknownModel):
        return [{"pointer": "/model", "message": f"one of: {', '.join(error.known)}"}]
    return []


def _listed(call_ids: Sequence[str]) -> str:
    """Return ids of tool calls as a list, at most twenty; those that may be text of the request are replaced."""
    ids = [call_id if _SAFE_CALL_ID.fullmatch(call_id) else "?" for call_id in call_ids]
    listed = ", ".join(ids[:_MAX_LISTED_CALLS])
    return f"{listed}, …" if len(ids) > _MAX_LISTED_CALLS else listed

"""Route classes of operations with a JSON body."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

from fastapi import Header
from fastapi.exceptions import RequestValidationError
from fastapi.params import Header as HeaderInfo
from fastapi.params import Path as PathInfo
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.requests.json_body import read_json
from app.requests.large_bodies import HeldBody
from app.requests.strict_route import check_query
from domain.entities.prompt import Prompt

TIMEOUT = "X-Request-Timeout-Ms"
_MIN_TIMEOUT_MILLISECONDS = 3000

TimeoutHeader = Annotated[
    int | None,
    Header(
        alias=TIMEOUT,
        ge=_MIN_TIMEOUT_MILLISECONDS,
        description="Maximum response time in milliseconds; values above the server's default are reduced to it.",
    ),
]

_CONTENT_TYPE = b"content-type"
_CONTENT_ENCODING = b"content-encoding"
_CONTENT_LENGTH = b"content-length"


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of a controller whose value comes from a header or the path."""

    name: str
    alias: str
    type: TypeAdapter[Any]


class ChatRoute(APIRoute):
    """Calls its controller with a validated JSON body, the request, and the values of the path and of headers.

    Header parameters are optional: those that the request does not have are not passed.

    FastAPI generates the OpenAPI description from the controller's signature, but does not process the requests: its
    dependencies, exit stacks and response validation take more time than the provider call
    (docs/decisions/hot-path.md).
    """

    rejects_query = False
    takes_large_bodies = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._body_type = TypeAdapter(get_type_hints(endpoint)["body"])
        self._parameters = _header_parameters(endpoint)
        self._path_parameters = _path_parameters(endpoint)
        self._used_headers = frozenset(
            {_CONTENT_TYPE, _CONTENT_ENCODING, _CONTENT_LENGTH, *self._parameters}
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.respond

    async def respond(self, request: Request) -> Response:
        """Return the controller's response.

        Raises:
            RequestBodyError: The body cannot be read.
            RequestValidationError: The query, a header or a field of the body is invalid.
            DomainError: Raised by the controller.
        """
        if self.rejects_query and request.scope["query_string"]:
            check_query(request.query_params)
        limits = request.scope["app"].state.limits
        headers = _read_headers(request.scope, self._used_headers)
        value = await read_json(
            request.receive,
            content_type=headers.get(_CONTENT_TYPE, [""])[0],
            content_encodings=headers.get(_CONTENT_ENCODING, ()),
            content_length=headers.get(_CONTENT_LENGTH, [""])[0],
            limit_bytes=limits.body_bytes if self.takes_large_bodies else limits.small_body_bytes,
            max_depth=limits.json_depth,
            held_body=request.scope["held_body"],
        )
        errors: list[dict[str, Any]] = []
        values: dict[str, Any] = {}
        for path_parameter in self._path_parameters:
            alias = path_parameter.alias
            text = request.path_params[alias]
            values[path_parameter.name] = _validate(
                path_parameter.type, text, errors, "path", alias
            )
        for name, texts in headers.items():
            if (found := self._parameters.get(name)) is not None:
                values[found.name] = _validate(found.type, texts[0], errors, "header", found.alias)
        body = _validate(self._body_type, value, errors, "body")
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self.endpoint(body, request, **values)
        return response


class JsonRoute(ChatRoute):
    """Route of another operation with a JSON body, which is small, and which FastAPI finds by its path."""

    takes_large_bodies = False

    async def respond(self, request: Request) -> Response:
        """Return the controller's response; raises as `ChatRoute.respond`."""
        request.scope["held_body"] = HeldBody(request.scope["app"].state.limits.large_bodies)
        return await super().respond(request)  # no memory is counted: such a body is not large


class StrictJsonRoute(JsonRoute):
    """The same, and rejects all query parameters."""

    rejects_query = True


class StrictChatRoute(ChatRoute):
    """Chat route that rejects all query parameters."""

    rejects_query = True


async def prompt_of(to_prompt: Callable[[], Prompt], request: Request) -> Prompt:
    """Return the prompt of a body; that of a large one is made in a thread, since its attachments are decoded.

    Raises:
        DomainError: Raised by `to_prompt`.
    """
    if request.scope["held_body"].is_large:
        return await asyncio.to_thread(to_prompt)
    return to_prompt()


def _header_parameters(endpoint: Callable[..., Any]) -> Mapping[bytes, _Parameter]:
    """Return the header parameters of a controller, by the name of the header in lower case."""
    parameters: dict[bytes, _Parameter] = {}
    for name, hint in get_type_hints(endpoint, include_extras=True).items():
        for field in get_args(hint)[1:]:
            if isinstance(field, HeaderInfo) and field.alias is not None:
                parameter = _Parameter(name, field.alias, TypeAdapter(hint))
                parameters[field.alias.lower().encode()] = parameter
    return parameters


def _path_parameters(endpoint: Callable[..., Any]) -> tuple[_Parameter, ...]:
    """Return the path parameters of a controller."""
    return tuple(
        [
            _Parameter(name, field.alias, TypeAdapter(hint))
            for name, hint in get_type_hints(endpoint, include_extras=True).items()
            for field in get_args(hint)[1:]
            if isinstance(field, PathInfo) and field.alias is not None
        ]
    )


def _read_headers(scope: Scope, used: frozenset[bytes]) -> dict[bytes, list[str]]:
    """Return the values of the headers that a chat route uses, found in one pass over all headers."""
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in used:
            headers.setdefault(name, []).append(str(value, "latin-1"))
    return headers


def _validate(
    type_: TypeAdapter[Any], value: Any, errors: list[dict[str, Any]], *location: str
) -> Any:
    """Return the validated value; if it is invalid, add to `errors` and return None."""
    try:
        return type_.validator.validate_python(value, from_attributes=True)
    except ValidationError as exc:
        errors += [
            {**error, "loc": (*location, *error["loc"])} for error in exc.errors(include_url=False)
        ]
        return None

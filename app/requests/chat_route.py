"""Route classes of the two chat operations."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, get_type_hints

from fastapi import Header
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.requests.idempotency_key import IDEMPOTENCY_KEY, IdempotencyHeader
from app.requests.json_body import read_json
from app.requests.strict_route import check_query

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

_TIMEOUT_TYPE: TypeAdapter[Any] = TypeAdapter(TimeoutHeader)
_KEY_TYPE: TypeAdapter[Any] = TypeAdapter(IdempotencyHeader)
_CONTENT_TYPE = b"content-type"
_CONTENT_ENCODING = b"content-encoding"
_TIMEOUT = TIMEOUT.lower().encode()
_KEY = IDEMPOTENCY_KEY.lower().encode()
_USED_HEADERS = frozenset({_CONTENT_TYPE, _CONTENT_ENCODING, _TIMEOUT, _KEY})


class ChatRoute(APIRoute):
    """Calls its controller with a validated JSON body, the request, and the values of two optional headers.

    FastAPI generates the OpenAPI description from the controller's signature, but does not process the requests: its
    dependencies, exit stacks and response validation take more time than the provider call
    (docs/decisions/hot-path.md).
    """

    rejects_query = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._body_type = TypeAdapter(get_type_hints(endpoint)["body"])

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
        headers = _read_headers(request.scope)
        value = await read_json(
            request.receive,
            content_type=headers.get(_CONTENT_TYPE, [""])[0],
            content_encodings=headers.get(_CONTENT_ENCODING, ()),
            limit_bytes=limits.body_bytes,
            max_depth=limits.json_depth,
            held_body=request.scope["held_body"],
        )
        errors: list[dict[str, Any]] = []
        timeout = key = None
        if _TIMEOUT in headers:
            timeout = _validate(_TIMEOUT_TYPE, headers[_TIMEOUT][0], errors, "header", TIMEOUT)
        if _KEY in headers:
            key = _validate(_KEY_TYPE, headers[_KEY][0], errors, "header", IDEMPOTENCY_KEY)
        body = _validate(self._body_type, value, errors, "body")
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self.endpoint(body, request, timeout, key)
        return response


class StrictChatRoute(ChatRoute):
    """Chat route that rejects all query parameters."""

    rejects_query = True


def _read_headers(scope: Scope) -> dict[bytes, list[str]]:
    """Return the values of the headers that a chat route uses, found in one pass over all headers."""
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in _USED_HEADERS:
            headers.setdefault(name, []).append(str(value, "latin-1"))
    return headers


def _validate(
    type_: TypeAdapter[Any], value: Any, errors: list[dict[str, Any]], *location: str
) -> Any:
    """Return the validated value; if it is invalid, add to `errors` and return None."""
    try:
        return type_.validate_python(value, from_attributes=True)
    except ValidationError as exc:
        errors += [
            {**error, "loc": (*location, *error["loc"])} for error in exc.errors(include_url=False)
        ]
        return None

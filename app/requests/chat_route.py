"""The route class of the two chat operations."""

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
_LEAST_TIMEOUT_MILLISECONDS = 3000

TimeoutHeader = Annotated[
    int | None,
    Header(
        alias=TIMEOUT,
        ge=_LEAST_TIMEOUT_MILLISECONDS,
        description="Milliseconds the caller is ready to wait; more than the default is clamped to it.",
    ),
]

_TIMEOUT_TYPE: TypeAdapter[Any] = TypeAdapter(TimeoutHeader)
_KEY_TYPE: TypeAdapter[Any] = TypeAdapter(IdempotencyHeader)
_CONTENT_TYPE = b"content-type"
_CONTENT_ENCODING = b"content-encoding"
_TIMEOUT = TIMEOUT.lower().encode()
_KEY = IDEMPOTENCY_KEY.lower().encode()
_READ_HEADERS = frozenset({_CONTENT_TYPE, _CONTENT_ENCODING, _TIMEOUT, _KEY})


class ChatRoute(APIRoute):
    """Calls its controller with a validated JSON body, the request, and the values of two optional headers.

    FastAPI describes the operation in OpenAPI from the controller's signature, as any other, but does not process its
    requests: dependencies, exit stacks and the validation of the response cost a chat more than the call of the
    provider does (docs/decisions/hot-path.md).
    """

    refuses_query = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._body_type = TypeAdapter(get_type_hints(endpoint)["body"])

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.respond

    async def respond(self, request: Request) -> Response:
        """Return the controller's response.

        Raises:
            RefusedBody: The body cannot be read.
            RequestValidationError: The query, a header or a field of the body is not valid.
            DomainError: The controller's own.
        """
        if self.refuses_query and request.scope["query_string"]:
            check_query(request.query_params)
        limits = request.scope["app"].state.limits
        sent = _sent_headers(request.scope)
        value = await read_json(
            request.receive,
            content_type=sent.get(_CONTENT_TYPE, [""])[0],
            content_encodings=sent.get(_CONTENT_ENCODING, ()),
            limit_bytes=limits.body_bytes,
            max_depth=limits.json_depth,
        )
        errors: list[dict[str, Any]] = []
        timeout = key = None
        if _TIMEOUT in sent:
            timeout = _checked(_TIMEOUT_TYPE, sent[_TIMEOUT][0], errors, "header", TIMEOUT)
        if _KEY in sent:
            key = _checked(_KEY_TYPE, sent[_KEY][0], errors, "header", IDEMPOTENCY_KEY)
        body = _checked(self._body_type, value, errors, "body")
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self.endpoint(body, request, timeout, key)
        return response


class StrictChatRoute(ChatRoute):
    """Refuses every query parameter as well."""

    refuses_query = True


def _sent_headers(scope: Scope) -> dict[bytes, list[str]]:
    """Return the values of the headers that a chat route reads, found in one pass over all."""
    sent: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in _READ_HEADERS:
            sent.setdefault(name, []).append(str(value, "latin-1"))
    return sent


def _checked(
    type_: TypeAdapter[Any], value: Any, errors: list[dict[str, Any]], *location: str
) -> Any:
    """Return the validated value; None, and more `errors`, when it is not valid."""
    try:
        return type_.validate_python(value, from_attributes=True)
    except ValidationError as exc:
        errors += [
            {**error, "loc": (*location, *error["loc"])} for error in exc.errors(include_url=False)
        ]
        return None

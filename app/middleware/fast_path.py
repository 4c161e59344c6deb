"""The chat routes without the framework's way to them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.problems.error_handlers import error_response
from app.problems.refused_body import RefusedBody
from app.requests.strict_route import parse_json
from domain.exceptions import DomainError

_PARAMETERS = (b"x-request-timeout-ms", b"idempotency-key", b"content-encoding")
"""Headers that controllers take as parameters, or that change how the body is read; the framework's route does both."""

_JSON = frozenset({b"application/json", b"application/json; charset=utf-8"})
"""How clients say it; other spellings of the same are the framework's business as well."""


class Way:
    """A controller that takes a JSON body.

    Attributes:
        path: Of the route, which the framework has too.
        validate: Makes parsed JSON into what the controller takes; raises `ValidationError`.
        controller: Is called with that and the request, and has a default for whatever else it takes.
    """

    def __init__(
        self, path: str, body: type[BaseModel], controller: Callable[..., Awaitable[Response]]
    ) -> None:
        self.path = path
        self.validate = body.__pydantic_validator__.validate_python
        self.controller = controller


class ShortCut:
    """Hands a plain request straight to its controller; whatever is not plain goes through the framework, untouched.

    Routing, dependencies and exit stacks cost a chat more than asking the provider does (docs/decisions/hot-path.md),
    and one that is a valid JSON body and nothing else needs none of them. A body that is not valid goes the
    framework's way from its first byte, so that what is wrong with it is told in one place only.
    """

    def __init__(self, app: FastAPI, ways: Iterable[Way]) -> None:
        """Stand before `app`, whose own routes for the paths of `ways` have the same controllers."""
        self._app = app
        self._ways = {way.path: way for way in ways}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._ways.get(scope["path"]) if scope["type"] == "http" else None
        if way is None or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        taken = await self._all(receive)
        body = self._understood(taken, way)
        if body is None:
            await self._app(scope, _again(taken, receive), send)
            return
        scope["app"] = self._app
        scope["route"] = way
        try:
            response = await way.controller(body, Request(scope, receive))
        except DomainError as error:
            response = error_response(error, scope)
        await response(scope, receive, send)

    async def _all(self, receive: Receive) -> list[Message]:
        """Return the messages that make up the body, or as many as show that it will not do."""
        taken, size_bytes = [], 0
        while size_bytes <= self._app.state.limits.body_bytes:
            message = await receive()
            taken.append(message)
            if not message.get("more_body", False):
                break
            size_bytes += len(message.get("body", b""))
        return taken

    def _understood(self, taken: list[Message], way: Way) -> Any:
        """Return what the controller takes; None when it is not valid, or not all there."""
        limits = self._app.state.limits
        body = b"".join([message.get("body", b"") for message in taken])
        if taken[-1]["type"] != "http.request" or len(body) > limits.body_bytes:
            return None
        try:
            return way.validate(parse_json(body, limits.json_depth))
        except (RefusedBody, ValidationError):
            return None


def _is_plain(scope: Scope) -> bool:
    """Return whether nothing but the body of a request matters to its controller."""
    if scope["method"] != "POST" or scope["query_string"]:
        return False
    content_type = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            if content_type:
                return False
            content_type = value
        elif name in _PARAMETERS:
            return False
    return content_type in _JSON


def _again(taken: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives what was `taken` first."""
    messages = iter(taken)

    async def receive_again() -> Message:
        return next(messages, None) or await receive()

    return receive_again

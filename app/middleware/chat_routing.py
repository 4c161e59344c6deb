"""Calls the chat routes without FastAPI's routing."""

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.problems.error_handlers import request_error_response
from app.problems.request_body_error import RequestBodyError
from app.requests.chat_route import ChatRoute
from app.requests.large_bodies import HeldBody
from domain.exceptions import DomainError


class ChatRouting:
    """Passes POST requests for the path of a chat route to that route, and all others to `app`.

    FastAPI's middleware and route matching would add 0.06 ms to the 0.19 ms that a chat takes without HTTP and the call
    of the provider (docs/decisions/hot-path.md).
    """

    def __init__(self, app: FastAPI, routes: Iterable[ChatRoute]) -> None:
        """Route in front of `app`, which includes `routes` for its description and for other methods."""
        self._app = app
        self._routes = {route.path: route for route in routes}
        self._large_bodies = app.state.limits.large_bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        route = self._routes.get(scope["path"]) if is_post else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"] = route
        held_body = HeldBody(self._large_bodies)
        scope["held_body"] = held_body
        try:
            try:
                response = await route.respond(Request(scope, receive))
            except (DomainError, RequestBodyError, RequestValidationError) as error:
                response = request_error_response(error, scope)
            await response(scope, receive, send)
        finally:
            held_body.release()

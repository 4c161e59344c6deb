"""What every request gets first and leaves last: an id, a start time, one line in the log, its figures."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.access_log import ProviderName, access_line
from app.problems.error_handlers import problem_response
from app.problems.problem_table import INTERNAL
from domain.interfaces.telemetry import RequestObserver, RequestOutcome, RequestTracer

_KEPT_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")
_AS_SAID = (b"x-content-type-options", b"nosniff")
"""No browser takes an answer for something else than its media type says."""
_NOT_KEPT = (b"cache-control", b"no-store")
"""What concerns a user stays in no cache between the service and its client."""
_logger = logging.getLogger("app.access")


class RequestScope:
    """The outermost layer. Puts `request_id`, `trace_id` and `started_seconds` into the scope's state.

    Both names are the same unless somebody follows the request, as part of a trace that may have begun elsewhere.

    An exception that nobody translated is our bug: it is logged with its stack and answered with a 500, or,
    when the answer has begun, the connection is closed by letting the exception through.
    """

    def __init__(
        self,
        app: ASGIApp,
        observer: Callable[[], RequestObserver | None],
        tracer: Callable[[], RequestTracer | None],
        provider_name: ProviderName,
    ) -> None:
        self._app = app
        self._observer = observer
        self._tracer = tracer
        self._provider_name = provider_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_seconds = time.perf_counter()
        request_id = _request_id(scope)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = state["trace_id"] = request_id
        span = None
        if (tracer := self._tracer()) is not None:
            span = tracer.begin(scope["method"], scope["headers"])
            state["trace_id"] = span.trace_id
        state["started_seconds"] = started_seconds
        concerns_a_user = scope["path"].startswith("/v1/")
        status = 0
        is_whole = False

        async def send_named(message: Message) -> None:
            nonlocal status, is_whole
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], _AS_SAID, (b"x-request-id", request_id.encode())]
                if concerns_a_user and b"cache-control" not in dict(headers):
                    headers.append(_NOT_KEPT)
                message["headers"] = headers
            elif message["type"] == "http.response.body":
                is_whole = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            fields = {"trace": {"id": state["trace_id"]}, "http": {"request": {"id": request_id}}}
            _logger.exception("unhandled error", extra={"ecs": fields})
            if not status:
                await problem_response(INTERNAL, scope)(scope, receive, send_named)
            elif not is_whole:
                raise
        finally:
            answered = RequestOutcome(
                route=getattr(scope.get("route"), "path", "unmatched"),
                method=scope["method"],
                status=status,
                seconds=time.perf_counter() - started_seconds,
                context=state.get("chat_context"),
                problem=state.get("problem"),
                limit=state.get("limit"),
            )
            self._tell(state, answered)
            if span is not None:
                span.end(answered)

    def _tell(self, state: Mapping[str, Any], answered: RequestOutcome) -> None:
        if (observer := self._observer()) is not None:
            observer.observe_request(answered)
        if _logger.isEnabledFor(logging.INFO):
            context = answered.context
            message, fields = access_line(state, answered, self._provider_name)
            level = logging.INFO if context is None or context.is_stored else logging.ERROR
            _logger.log(level, message, extra={"ecs": fields})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if _KEPT_REQUEST_ID.fullmatch(value):
                return str(value, "ascii")
            break
    return _new_request_id()


def _new_request_id() -> str:
    """Return a UUIDv4, put together from its digits. It names a request and opens nothing: it need not be hard to guess."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

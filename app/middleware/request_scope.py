"""Request id, start time, access log and metrics of every request."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.log_lines.fields import ProviderName, access_line
from app.problems.error_handlers import problem_response
from app.problems.problem_table import INTERNAL
from domain.interfaces.telemetry import RequestObserver, RequestOutcome, RequestTracer

_VALID_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")
_NO_SNIFF = (b"x-content-type-options", b"nosniff")
"""Keeps browsers from guessing another media type."""
_ANTHROPIC_PATH = "/v1/messages"
"""Path prefix of responses that also have the request id in the header that Anthropic's clients read."""
_NO_STORE = (b"cache-control", b"no-store")
"""Keeps the data of users out of caches between the service and its client."""
_logger = logging.getLogger("app.access")


class RequestScope:
    """Outermost middleware. Sets `request_id`, `trace_id` and `started_seconds` in the scope's state.

    Without tracing, the trace id is the request id.

    An exception without a translation is a bug of the service: it is logged with its stack trace and answered with 500.
    If the response has begun, the exception is raised again, so that the server closes the connection.
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
        path: str = scope["path"]
        request_id_value = request_id.encode()
        added_headers = [_NO_SNIFF, (b"x-request-id", request_id_value)]
        if path.startswith(_ANTHROPIC_PATH):
            added_headers.append((b"request-id", request_id_value))
        has_user_data = path.startswith("/v1/")
        status = 0
        is_complete = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *added_headers]
                if has_user_data and b"cache-control" not in dict(headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers
            elif message["type"] == "http.response.body":
                is_complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            fields = {"trace": {"id": state["trace_id"]}, "http": {"request": {"id": request_id}}}
            _logger.exception("unhandled error", extra={"ecs": fields})
            if not status:
                await problem_response(INTERNAL, scope)(scope, receive, send_with_headers)
            elif not is_complete:
                raise
        finally:
            outcome = RequestOutcome(
                route=getattr(scope.get("route"), "path", "unmatched"),
                method=scope["method"],
                status=status,
                seconds=time.perf_counter() - started_seconds,
                context=state.get("chat_context"),
                problem=state.get("problem"),
                limit=state.get("limit"),
            )
            self._report(state, outcome)
            if span is not None:
                span.end(outcome)

    def _report(self, state: Mapping[str, Any], outcome: RequestOutcome) -> None:
        if (observer := self._observer()) is not None:
            observer.observe_request(outcome)
        if _logger.isEnabledFor(logging.INFO):
            context = outcome.context
            message, fields = access_line(state, outcome, self._provider_name)
            level = logging.INFO if context is None or context.is_stored else logging.ERROR
            _logger.log(level, message, extra={"ecs": fields})


def _request_id(scope: Scope) -> str:
    # reversed: the first of several counts
    value = dict(reversed(scope["headers"])).get(b"x-request-id")
    if value is not None and _VALID_REQUEST_ID.fullmatch(value):
        return str(value, "ascii")
    return _new_request_id()


def _new_request_id() -> str:
    """Return a UUIDv4 from a generator that is fast but predictable; a request id grants no access."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

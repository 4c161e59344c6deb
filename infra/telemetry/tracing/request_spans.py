"""A server span for each request, as part of the client's trace if it sends one."""

from collections.abc import Sequence
from contextvars import Token

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_trace_id,
    set_span_in_context,
)

from domain.entities.chat_request_context import Operation
from domain.interfaces.telemetry import RequestOutcome, RequestSpan, RequestTracer
from infra.telemetry.metrics.http_methods import KNOWN_METHODS, OTHER_METHOD
from infra.telemetry.tracing.propagation import remote_context

_NAME_OF_OTHERS = "HTTP"


class RequestSpans(RequestTracer):
    """Makes the span current in the task, so that spans started for the request become its children."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, method: str, headers: Sequence[tuple[bytes, bytes]]) -> RequestSpan:
        known = method if method in KNOWN_METHODS else OTHER_METHOD
        span = self._tracer.start_span(
            known if known != OTHER_METHOD else _NAME_OF_OTHERS,
            context=remote_context(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": known, "url.scheme": "http"},
        )
        return _RequestSpan(span, context.attach(set_span_in_context(span)))


class _RequestSpan(RequestSpan):
    __slots__ = ("_span", "_token")

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    @property
    def trace_id(self) -> str:
        return format_trace_id(self._span.get_span_context().trace_id)

    def end(self, outcome: RequestOutcome) -> None:
        context.detach(self._token)
        span = self._span
        if not span.is_recording():
            return
        name = outcome.method if outcome.method in KNOWN_METHODS else _NAME_OF_OTHERS
        span.update_name(f"{name} {outcome.route}")
        # the template, since a path may contain a user id
        span.set_attribute("http.route", outcome.route)
        span.set_attribute("url.path", outcome.route)
        if outcome.status:
            span.set_attribute("http.response.status_code", outcome.status)
        if outcome.context is not None:
            if outcome.context.operation is Operation.CHAT:
                span.set_attribute("rt.interaction_id", outcome.context.id)
            span.set_attribute("rt.attempts", len(outcome.context.attempts))
            span.set_attribute("rt.replayed", outcome.context.is_replayed)
        if outcome.problem is not None:
            span.set_attribute("error.type", outcome.problem)
        if outcome.status >= 500 or not outcome.status:
            span.set_status(StatusCode.ERROR)
        span.end()

"""W3C Trace Context: read from requests and messages, written to provider calls and messages.

The `tracestate` of a client is not passed on to providers, since it is free text of the client.
"""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"

_PROPAGATOR = TraceContextTextMapPropagator()
_NO_CONTEXT = Context()
_RAW_HEADER = HEADER.encode()


def remote_context(headers: Sequence[tuple[bytes, bytes]]) -> Context:
    """Return the trace context in a request's headers; an empty one if there is none, or more than one."""
    named = [value for name, value in headers if name == _RAW_HEADER]
    return context_of(str(named[0], "latin-1")) if len(named) == 1 else _NO_CONTEXT


def context_of(traceparent: str) -> Context:
    """Return the context of a traceparent; an empty one if it is not valid."""
    if not traceparent:
        return _NO_CONTEXT
    return _PROPAGATOR.extract({HEADER: traceparent}, context=_NO_CONTEXT)


def traceparent_of(span: Span) -> str | None:
    """Return the traceparent of `span`; None if the span is not valid."""
    ids = span.get_span_context()
    if not ids.is_valid:
        return None
    return f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags & 1:02x}"


def current_traceparent() -> str | None:
    """Return the traceparent of the current span; None if there is none."""
    return traceparent_of(get_current_span())

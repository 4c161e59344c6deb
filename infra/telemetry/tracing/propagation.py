"""W3C Trace Context: read from callers and messages, written for providers and messages.

Of a caller's `tracestate` nothing is passed on: it is the caller's own text, and providers have no business with it.
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
    """Return the context that a request's headers name; an empty one when they name none, or more than one."""
    named = [value for name, value in headers if name == _RAW_HEADER]
    return context_of(str(named[0], "latin-1")) if len(named) == 1 else _NO_CONTEXT


def context_of(traceparent: str) -> Context:
    """Return the context a traceparent names; an empty one when it is not one."""
    if not traceparent:
        return _NO_CONTEXT
    return _PROPAGATOR.extract({HEADER: traceparent}, context=_NO_CONTEXT)


def traceparent_of(span: Span) -> str | None:
    """Return what names `span` to other processes; None for one that is none."""
    named = span.get_span_context()
    if not named.is_valid:
        return None
    return f"00-{named.trace_id:032x}-{named.span_id:016x}-{named.trace_flags & 1:02x}"


def current_traceparent() -> str | None:
    """Return what names the span that this task is in; None outside of any."""
    return traceparent_of(get_current_span())

"""Log lines and spans find each other: a line names the span of the task that writes it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


@contextmanager
def naming_their_span() -> Iterator[None]:
    """Let every line say which span it belongs to while the block runs; what a line says itself stays."""
    handlers = tuple(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_name_the_span)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_name_the_span)


def _name_the_span(record: logging.LogRecord) -> bool:
    span = get_current_span().get_span_context()
    if span.is_valid:
        said = getattr(record, "ecs", {})
        record.ecs = {
            "trace": {"id": format_trace_id(span.trace_id)},
            "span": {"id": format_span_id(span.span_id)},
            **said,
        }
    return True

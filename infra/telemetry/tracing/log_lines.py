"""Adds the ids of the current trace and span to log records."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


@contextmanager
def span_ids_in_logs() -> Iterator[None]:
    """Add trace and span ids to every record while the block runs; fields of the record are not replaced."""
    handlers = tuple(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_add_span_ids)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_add_span_ids)


def _add_span_ids(record: logging.LogRecord) -> bool:
    span = get_current_span().get_span_context()
    if span.is_valid:
        fields = getattr(record, "ecs", {})
        record.ecs = {
            "trace": {"id": format_trace_id(span.trace_id)},
            "span": {"id": format_span_id(span.span_id)},
            **fields,
        }
    return True

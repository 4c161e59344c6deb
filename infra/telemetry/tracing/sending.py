"""Export of spans to a collector; while it is unavailable, spans are dropped."""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_logger = logging.getLogger(__name__)


class QuietExporter(SpanExporter):
    """Logs once when the collector fails and once when it recovers, instead of once per batch."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """Create the exporter.

        Args:
            endpoint: URL of the collector for traces, with the path.
            headers: Headers of each request, such as credentials.
        """
        self._exporter = OTLPSpanExporter(endpoint, headers=headers)
        self._has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        has_failed = result is not SpanExportResult.SUCCESS
        if has_failed and not self._has_failed:
            _logger.warning("the trace collector does not accept spans; they are dropped")
        elif self._has_failed and not has_failed:
            _logger.info("the trace collector accepts spans again")
        self._has_failed = has_failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def silence_the_library() -> None:
    """Disable the library's log line for each batch that it cannot send."""
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

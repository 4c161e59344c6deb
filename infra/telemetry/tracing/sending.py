"""Sends spans to a collector from a thread of its own; a collector that is away costs spans, and nothing else."""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_logger = logging.getLogger(__name__)


class Sending(SpanExporter):
    """Tells once when the collector goes away, and once when it is back, in place of the exporter's line a batch."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """Send to a collector.

        Args:
            endpoint: Where it takes traces, path included.
            headers: What authorises us there.
        """
        self._exporter = OTLPSpanExporter(endpoint, headers=headers)
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            _logger.warning("the collector of traces does not take them; spans are dropped")
        elif self._is_away and not is_away:
            _logger.info("the collector of traces takes them again")
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def silence_the_library() -> None:
    """Leave out what the library says of each batch it cannot send."""
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

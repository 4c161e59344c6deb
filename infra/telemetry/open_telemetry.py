"""Opens the configured telemetry exports: metrics in the log (EMF), and traces."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from domain.interfaces.clock import Clock
from infra.product import SERVICE_NAME, VERSION
from infra.settings.telemetry import TelemetrySettings
from infra.telemetry.metrics.metrics import Metrics

if TYPE_CHECKING:
    from infra.telemetry.tracing.tracing import Tracing


def write_embedded_metrics(
    settings: TelemetrySettings, metrics: Metrics, clock: Clock
) -> AbstractAsyncContextManager[None]:
    """Write the metrics to the log every minute while the block runs, if METRICS_EMF_ENABLED is set."""
    if not settings.metrics_emf_enabled:
        return nullcontext()
    from infra.telemetry.metrics.emf import writing_emf

    return writing_emf(metrics.registry, service=SERVICE_NAME, clock=clock)


def tracing_of(settings: TelemetrySettings) -> AbstractAsyncContextManager["Tracing | None"]:
    """Trace requests while the block runs. Yields None, and imports no package, if no collector is configured."""
    if not (settings.otel_exporter_otlp_endpoint or settings.otel_exporter_otlp_traces_endpoint):
        return nullcontext()
    from infra.telemetry.tracing.tracing import open_tracing

    return open_tracing(settings, version=VERSION)

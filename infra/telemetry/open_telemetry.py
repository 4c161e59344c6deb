"""What leaves the process besides answers, as configured: figures in the log, and traces."""

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
    """Write the figures into the log now and then while the block runs, if METRICS_EMF_ENABLED says so."""
    if not settings.metrics_emf_enabled:
        return nullcontext()
    from infra.telemetry.metrics.emf import writing_emf

    return writing_emf(metrics.registry, service=SERVICE_NAME, clock=clock)


def tracing_of(settings: TelemetrySettings) -> AbstractAsyncContextManager["Tracing | None"]:
    """Follow requests while the block runs; None, and no package loaded, where no collector is named."""
    if not (settings.otel_exporter_otlp_endpoint or settings.otel_exporter_otlp_traces_endpoint):
        return nullcontext()
    from infra.telemetry.tracing.tracing import open_tracing

    return open_tracing(settings, version=VERSION)

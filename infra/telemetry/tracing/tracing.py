"""Assembles tracing from the settings."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiohttp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Tracer

from domain.interfaces.history import HistoryWriter
from domain.interfaces.telemetry import (
    AttemptObserver,
    BackgroundObserver,
    QueueObserver,
    RequestTracer,
)
from infra.configuration import ConfigurationError
from infra.settings.telemetry import TelemetrySettings
from infra.telemetry.tracing.accept_spans import AcceptSpans
from infra.telemetry.tracing.answer_spans import AnswerSpans
from infra.telemetry.tracing.attempt_spans import AttemptSpans, BothAttempts
from infra.telemetry.tracing.log_lines import span_ids_in_logs
from infra.telemetry.tracing.message_spans import BothQueueObservers, MessageSpans
from infra.telemetry.tracing.propagation import current_traceparent
from infra.telemetry.tracing.request_spans import RequestSpans
from infra.telemetry.tracing.sending import QuietExporter, silence_the_library

_PROTOCOL = "http/protobuf"
LAST_SPANS_SECONDS = 3.0
"""Time that shutdown waits for the export of the last spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """The tracers of requests, provider calls, appends, background answers and messages.

    Attributes:
        requests: Starts the span of each request.
        traceparent: Returns the traceparent of the current span, for messages.
    """

    requests: RequestTracer
    traceparent: Callable[[], str | None]
    _tracer: Tracer
    _attempts: AttemptSpans

    def traced_attempts(self, observer: AttemptObserver) -> AttemptObserver:
        """Return an observer that traces provider calls and forwards to `observer`."""
        return BothAttempts(observer, self._attempts)

    def trace_config(self) -> aiohttp.TraceConfig:
        """Return a configuration that adds the traceparent to provider calls."""
        return self._attempts.trace_config()

    def traced_history(self, history: HistoryWriter, *, is_queue: bool) -> HistoryWriter:
        """Return `history` with a span around each append."""
        return AcceptSpans(history, self._tracer, is_queue=is_queue)

    def traced_answers(self) -> BackgroundObserver:
        """Return an observer that traces background answers."""
        return AnswerSpans(self._tracer)

    def traced_messages(self, observer: QueueObserver, queue_url: str) -> QueueObserver:
        """Return an observer that traces messages and forwards to `observer`."""
        queue = urlsplit(queue_url).path.rpartition("/")[2]
        return BothQueueObservers(observer, MessageSpans(self._tracer, queue))


@asynccontextmanager
async def open_tracing(settings: TelemetrySettings, *, version: str) -> AsyncIterator[Tracing]:
    """Trace requests while the block runs, then export the remaining spans, for at most three seconds.

    Raises:
        ConfigurationError: The protocol is not supported, or the endpoint or the headers are not valid.
    """
    silence_the_library()
    _check_protocol(settings)
    processor = BatchSpanProcessor(QuietExporter(_endpoint(settings), _headers(settings)))
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=Resource.create(
            {
                "service.name": settings.otel_service_name,
                "service.version": version,
                "deployment.environment.name": settings.environment,
            }
        ),
        shutdown_on_exit=False,  # its exit handler waits for half a minute
    )
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("rt_genai", version)
    try:
        with span_ids_in_logs():
            yield Tracing(
                requests=RequestSpans(tracer),
                traceparent=current_traceparent,
                _tracer=tracer,
                _attempts=AttemptSpans(tracer),
            )
    finally:
        await _ended(provider)


async def _ended(provider: TracerProvider) -> None:
    """Wait, with a time limit, until all spans are exported. A daemon thread, so that it cannot keep the process alive."""
    loop = asyncio.get_running_loop()
    is_sent = asyncio.Event()

    def send_the_rest() -> None:
        provider.shutdown()
        try:
            loop.call_soon_threadsafe(is_sent.set)
        except RuntimeError:  # the loop is closed already
            return

    threading.Thread(target=send_the_rest, name="last spans", daemon=True).start()
    try:
        async with asyncio.timeout(LAST_SPANS_SECONDS):
            await is_sent.wait()
    except TimeoutError:
        return


def _check_protocol(settings: TelemetrySettings) -> None:
    """Reject a protocol that is not supported."""
    name, protocol = (
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        settings.otel_exporter_otlp_traces_protocol,
    )
    if protocol is None:
        name, protocol = "OTEL_EXPORTER_OTLP_PROTOCOL", settings.otel_exporter_otlp_protocol
    if protocol is not None and protocol.strip().lower() != _PROTOCOL:
        raise ConfigurationError(
            f"{name} is not {_PROTOCOL}, the only protocol that traces are sent with: set it so, and"
            " OTEL_EXPORTER_OTLP_ENDPOINT to the collector's address for OTLP over HTTP, such as http://localhost:4318"
        )


def _endpoint(settings: TelemetrySettings) -> str:
    """Return the URL for traces: the endpoint for traces unchanged, else the general endpoint with the path for traces."""
    if settings.otel_exporter_otlp_traces_endpoint is not None:
        return _address(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            settings.otel_exporter_otlp_traces_endpoint,
            "http://localhost:4318/v1/traces",
        )
    address = _address(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        settings.otel_exporter_otlp_endpoint or "",
        "http://localhost:4318",
    )
    return f"{address.rstrip('/')}/v1/traces"


def _address(name: str, value: str, example: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_address = is_address and parts.port != 0
    except ValueError:  # unmatched brackets, or an invalid port
        is_address = False
    if not is_address:
        raise ConfigurationError(
            f"{name} is not an http or https address: traces are sent as OTLP over HTTP ({_PROTOCOL}),"
            f" so set an address such as {example}"
        )
    return value


def _headers(settings: TelemetrySettings) -> dict[str, str]:
    if settings.otel_exporter_otlp_headers is None:
        return {}
    headers = {}
    for field in settings.otel_exporter_otlp_headers.get_secret_value().split(","):
        name, equals, value = field.partition("=")
        if not (name.strip() and equals):
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_HEADERS is not name=value, separated by commas"
            )
        headers[name.strip()] = unquote(value.strip())
    return headers


def _sampler(settings: TelemetrySettings) -> Sampler:
    ratio = TraceIdRatioBased(settings.otel_traces_sampler_arg)
    kind = settings.otel_traces_sampler
    root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF, "traceidratio": ratio}[
        kind.removeprefix("parentbased_")
    ]
    return ParentBased(root) if kind.startswith("parentbased_") else root

"""What follows requests, put together."""

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
from domain.interfaces.telemetry import AttemptObserver, QueueObserver, RequestTracer
from infra.configuration import ConfigurationError
from infra.settings.telemetry import TelemetrySettings
from infra.telemetry.tracing.accept_spans import AcceptSpans
from infra.telemetry.tracing.attempt_spans import AttemptSpans, BothAttempts
from infra.telemetry.tracing.log_lines import naming_their_span
from infra.telemetry.tracing.message_spans import BothQueueObservers, MessageSpans
from infra.telemetry.tracing.propagation import current_traceparent
from infra.telemetry.tracing.request_spans import RequestSpans
from infra.telemetry.tracing.sending import Sending, silence_the_library

_PROTOCOL = "http/protobuf"
LAST_SPANS_SECONDS = 3.0
"""How long the end of the process waits for the collector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Who is told what, so that a trace becomes whole.

    Attributes:
        requests: Begins and ends each request's span.
        traceparent: Returns what names the current span to another process.
    """

    requests: RequestTracer
    traceparent: Callable[[], str | None]
    _tracer: Tracer
    _attempts: AttemptSpans

    def attempts_beside(self, observer: AttemptObserver) -> AttemptObserver:
        """Return who follows calls of providers and tells `observer` of them as well."""
        return BothAttempts(observer, self._attempts)

    def calls(self) -> aiohttp.TraceConfig:
        """Return what lets calls of providers carry the trace with them."""
        return self._attempts.naming_themselves()

    def accepts_of(self, history: HistoryWriter, *, is_queue: bool) -> HistoryWriter:
        """Return `history` with a span around each append."""
        return AcceptSpans(history, self._tracer, is_queue=is_queue)

    def messages_beside(self, observer: QueueObserver, queue_url: str) -> QueueObserver:
        """Return who follows messages and tells `observer` of them as well."""
        queue = urlsplit(queue_url).path.rpartition("/")[2]
        return BothQueueObservers(observer, MessageSpans(self._tracer, queue))


@asynccontextmanager
async def open_tracing(settings: TelemetrySettings, *, version: str) -> AsyncIterator[Tracing]:
    """Follow requests while the block runs, then send what is left, for at most three seconds.

    Raises:
        ConfigurationError: The protocol is not spoken, the endpoint is not an address, or the headers are not written
            as OpenTelemetry has them.
    """
    silence_the_library()
    _check_protocol(settings)
    processor = BatchSpanProcessor(Sending(_endpoint(settings), _headers(settings)))
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=Resource.create(
            {
                "service.name": settings.otel_service_name,
                "service.version": version,
                "deployment.environment.name": settings.environment,
            }
        ),
        shutdown_on_exit=False,  # it waits for half a minute
    )
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("rt_genai", version)
    try:
        with naming_their_span():
            yield Tracing(
                requests=RequestSpans(tracer),
                traceparent=current_traceparent,
                _tracer=tracer,
                _attempts=AttemptSpans(tracer),
            )
    finally:
        await _ended(provider)


async def _ended(provider: TracerProvider) -> None:
    """Return once everything is sent, or after a while: a thread that hangs must not keep the process alive."""
    loop = asyncio.get_running_loop()
    is_sent = asyncio.Event()

    def send_the_rest() -> None:
        provider.shutdown()
        try:
            loop.call_soon_threadsafe(is_sent.set)
        except RuntimeError:  # the loop did not wait
            return

    threading.Thread(target=send_the_rest, name="last spans", daemon=True).start()
    try:
        async with asyncio.timeout(LAST_SPANS_SECONDS):
            await is_sent.wait()
    except TimeoutError:
        return


def _check_protocol(settings: TelemetrySettings) -> None:
    """Refuse a protocol that is not spoken: what is sent would not arrive."""
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
    """Return where traces are sent: an address for traces as it is, else the one for all signals with their path."""
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
    except ValueError:  # brackets that do not match, or a port that is none
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
    for one in settings.otel_exporter_otlp_headers.get_secret_value().split(","):
        name, equals, value = one.partition("=")
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

"""What tracing makes of its settings, and how it ends."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.exceptions import HistoryUnavailable
from infra.configuration import ConfigurationError
from infra.settings import Settings
from infra.telemetry.tracing import tracing
from infra.telemetry.tracing.tracing import open_tracing
from tests.fakes.collector import Collector, collecting
from tests.fakes.ends import a_delivery, answered
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_interaction
from tests.fakes.queue_observer import RecordingQueueObserver
from tests.support.service import command

HEADERS: list[tuple[bytes, bytes]] = []


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def settings(endpoint: str, **more: object) -> Settings:
    return Settings(_env_file=None, otel_exporter_otlp_endpoint=endpoint, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endpoint", "headers"),
    [("localhost:4318", None), ("ftp://collector", None), ("http://127.0.0.1:9", "Bearer")],
)
async def test_what_cannot_be_is_refused_by_name(endpoint: str, headers: str | None) -> None:
    secret = None if headers is None else SecretStr(headers)
    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_(ENDPOINT|HEADERS)"):
        async with open_tracing(settings(endpoint, otel_exporter_otlp_headers=secret), version="1"):
            pass


@pytest.mark.seen("E8")
@pytest.mark.parametrize("protocol", ["grpc", "GRPC", "http/json", "http", "protobuf"])
@pytest.mark.parametrize("signal", ["", "traces_"])
async def test_a_protocol_that_is_not_spoken_is_refused_with_what_to_set(
    protocol: str, signal: str
) -> None:
    more: dict[str, object] = {f"otel_exporter_otlp_{signal}protocol": protocol}
    with pytest.raises(ConfigurationError) as refused:
        async with open_tracing(settings("http://127.0.0.1:9", **more), version="1"):
            pass
    told = str(refused.value)
    assert told.startswith(f"OTEL_EXPORTER_OTLP_{signal.upper()}PROTOCOL is not http/protobuf")
    assert "http://localhost:4318" in told
    assert "\n" not in told


@pytest.mark.seen("E8")
@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4317",
        "127.0.0.1:4318",
        "collector",
        "grpc://collector:4317",
        "//collector:4318",
        "http://",
        "http://[::1",
        "http://collector:port",
        "http://collector:99999",
    ],
)
@pytest.mark.parametrize("signal", ["", "traces_"])
async def test_an_endpoint_that_is_no_http_address_is_refused_with_what_to_set(
    endpoint: str, signal: str
) -> None:
    more: dict[str, object] = {f"otel_exporter_otlp_{signal}endpoint": endpoint}
    with pytest.raises(ConfigurationError) as refused:
        async with open_tracing(Settings(_env_file=None, **more), version="1"):  # type: ignore[arg-type]
            pass
    told = str(refused.value)
    assert told.startswith(f"OTEL_EXPORTER_OTLP_{signal.upper()}ENDPOINT is not an http or https")
    assert "http/protobuf" in told
    assert "http://localhost:4318" in told


@pytest.mark.slow
@pytest.mark.seen("E8")
def test_the_process_ends_with_78_and_one_line_for_a_collector_that_speaks_grpc(
    tmp_path: Path,
) -> None:
    for more in (
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        },
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "localhost:4317"},
    ):
        done = command(tmp_path / "data", "serve", **more)
        assert done.returncode == 78
        assert "OTEL_EXPORTER_OTLP_" in done.stdout.splitlines()[-1]
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.seen("E8")
@pytest.mark.parametrize("protocol", [None, "http/protobuf", " HTTP/protobuf "])
async def test_traces_go_to_an_endpoint_of_their_own_as_it_is_written(
    collector: Collector, protocol: str | None
) -> None:
    more = {
        "otel_exporter_otlp_traces_endpoint": f"{collector.url}/elsewhere",
        "otel_exporter_otlp_protocol": "grpc",
        "otel_exporter_otlp_traces_protocol": protocol or "http/protobuf",
    }
    async with open_tracing(settings("http://127.0.0.1:9", **more), version="1") as opened:
        opened.requests.begin("GET", HEADERS).end(answered("/", "GET", 200, 0.1))
    assert collector.paths == {"/elsewhere"}


async def test_a_collector_that_hangs_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "LAST_SPANS_SECONDS", 0.1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with asyncio.timeout(5), open_tracing(settings(endpoint), version="1") as opened:
            opened.requests.begin("GET", HEADERS).end(answered("/", "GET", 200, 0.1))


@pytest.mark.parametrize(
    ("sampler", "share", "kept"),
    [
        ("always_off", 1.0, 0),
        ("parentbased_traceidratio", 0.0, 0),
        ("traceidratio", 1.0, 1),
        ("parentbased_always_on", 0.0, 1),
    ],
)
async def test_the_sampler_is_the_one_that_was_named(
    collector: Collector, sampler: str, share: float, kept: int
) -> None:
    named = settings(collector.url, otel_traces_sampler=sampler, otel_traces_sampler_arg=share)
    async with open_tracing(named, version="1") as opened:
        span = opened.requests.begin("GET", HEADERS)
        assert len(span.trace_id) == 32
        span.end(answered("/", "GET", 200, 0.1))
    assert len(collector.spans) == kept


async def test_a_made_up_method_is_not_sent_on(collector: Collector) -> None:
    async with open_tracing(settings(collector.url), version="1") as opened:
        opened.requests.begin("BREW", HEADERS).end(answered("unmatched", "BREW", 405, 0.1))
    (span,) = collector.spans
    assert span.name == "HTTP unmatched"
    assert span.attributes["http.request.method"] == "_OTHER"


async def test_an_accept_that_fails_says_why_and_lets_it_through(collector: Collector) -> None:
    history = InMemoryHistory()
    history.refuses = 1
    async with open_tracing(settings(collector.url), version="1") as opened:
        with pytest.raises(HistoryUnavailable):
            await opened.traced_history(history, is_queue=False).append(an_interaction())
        assert opened.traceparent() is None
    (span,) = collector.spans
    assert span.attributes["error.type"] == HistoryUnavailable.code
    assert span.has_failed


async def test_a_message_that_is_buried_is_a_span_of_its_own(collector: Collector) -> None:
    async with open_tracing(settings(collector.url), version="1") as opened:
        told = opened.traced_messages(RecordingQueueObserver(), "http://sqs/0/interactions")
        told.observe_dead_letter(a_delivery(), "not JSON", work_seconds=0.5)
    (span,) = collector.spans
    assert span.kind == "consumer"
    assert span.parent_id == ""
    assert span.name == "process interactions"
    assert span.attributes["error.type"] == "not JSON"
    assert span.seconds == pytest.approx(0.5)

"""What a collector of traces sees of a running service."""

import json
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.collector import Collector, Seen, collecting
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.service import Service, running_service, watched_worker

PROVIDER_KEY = "canary-provider-key-9b1d"
COLLECTOR_KEY = "canary-collector-key-9b1d"
PROMPT = "canary-prompt-9b1d"
USER = "canary-user-9b1d"
ANSWER = "Hello"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(
    settings: dict[str, str],
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    followed = {
        **settings,
        **SOON,
        "GEM_KEY": PROVIDER_KEY,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{COLLECTOR_KEY}",
        "OTEL_SERVICE_NAME": "chat",
    }
    with running_service(tmp_path_factory.mktemp("traced") / "data", followed) as service:
        yield service


def chat(service: Service, model: str, *, stream: bool = False, **headers: str) -> httpx2.Response:
    body = {"userId": USER, "userPrompt": PROMPT, "model": model, "stream": stream}
    with service.client() as client:
        return client.post("/v1/chat", json=body, headers=headers)


def line_of(service: Service, request_id: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in service.lines_with(request_id)]
    return next(line for line in lines if line["message"] == "chat completed")


def trace_of(service: Service, collector: Collector, answer: httpx2.Response) -> list[Seen]:
    """Return the spans of an answered request, once its server span, which ends last, has come."""
    line = line_of(service, answer.headers["x-request-id"])
    trace_id = line["trace"]["id"]
    collector.wait_for(lambda it: [one for one in it.of(trace_id) if one.kind == "server"])
    return collector.of(trace_id)


@pytest.mark.parametrize(
    ("fault", "status", "stream"), [("503-after-7s", 503, False), ("no-choices", 200, True)]
)
def test_a_chat_that_falls_back_is_one_trace_with_two_attempts_and_the_accept(
    traced: Service, collector: Collector, fault: str, status: int, stream: bool
) -> None:
    model = f"safe-{fault}"
    answer = chat(traced, model, stream=stream)
    assert answer.status_code == 200
    spans = trace_of(traced, collector, answer)
    assert sorted(span.kind for span in spans) == ["client", "client", "internal", "server"]
    (server,) = [span for span in spans if span.kind == "server"]
    first, second = [span for span in spans if span.kind == "client"]
    (accept,) = [span for span in spans if span.kind == "internal"]
    assert {span.parent_id for span in (first, second, accept)} == {server.span_id}
    assert server.parent_id == ""
    assert server.name == "POST /v1/chat"
    assert server.attributes["http.route"] == "/v1/chat"
    assert server.attributes["http.request.method"] == "POST"
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["rt.attempts"] == 2
    assert server.resource["service.name"] == "chat"
    assert not server.has_failed
    asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    assert asked.items() <= first.attributes.items()
    assert first.name == f"chat {model}"
    assert first.attributes["gen_ai.response.model"] == model
    assert first.attributes["gen_ai.provider.name"] == "gem"
    assert first.attributes["error.type"] == "unavailable"
    assert first.attributes["http.response.status_code"] == status
    assert first.has_failed
    assert asked.items() <= second.attributes.items()
    assert second.attributes["gen_ai.response.model"] == "alt-healthy"
    assert second.attributes["gen_ai.provider.name"] == "alt"
    assert second.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert second.attributes["gen_ai.usage.input_tokens"] > 0
    assert second.attributes["gen_ai.usage.output_tokens"] > 0
    assert "error.type" not in second.attributes
    assert not second.has_failed
    assert accept.name == "accept"
    assert accept.attributes["rt.interaction_id"] == answer.headers["x-interaction-id"]


def test_what_is_logged_deep_inside_names_the_request_it_belongs_to(
    traced: Service, collector: Collector
) -> None:
    answer = chat(traced, "gem-bad-key")
    trace_id = trace_of(traced, collector, answer)[0].trace_id
    (refusal,) = [json.loads(line) for line in traced.lines_with("refuses our key")]
    (server,) = [span for span in collector.of(trace_id) if span.kind == "server"]
    assert refusal["log"]["logger"].startswith("infra.llm.")
    assert (refusal["trace"], refusal["span"]) == ({"id": trace_id}, {"id": server.span_id})
    chat_line = line_of(traced, answer.headers["x-request-id"])
    assert (chat_line["trace"], chat_line["span"]) == (refusal["trace"], refusal["span"])
    (start,) = [json.loads(line) for line in traced.lines_with("listening on")]
    assert not {"trace", "span"} & start.keys()


def test_a_caller_who_names_a_trace_gets_its_spans_there(
    traced: Service, collector: Collector, provider: FaultProvider
) -> None:
    answer = chat(
        traced, "gem-healthy", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="canary=9b1d"
    )
    spans = trace_of(traced, collector, answer)
    assert {span.trace_id for span in spans} == {TRACE}
    (server,) = [span for span in spans if span.kind == "server"]
    (attempt,) = [span for span in spans if span.kind == "client"]
    assert server.parent_id == PARENT
    call = next(call for call in provider.calls if TRACE in str(call.headers))
    assert call.headers["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
    assert "canary" not in call.headers.get("tracestate", "")


def test_a_caller_who_wants_no_trace_gets_none(traced: Service, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    answer = chat(traced, "gem-healthy", traceparent=f"00-{trace_id}-{PARENT}-00")
    assert line_of(traced, answer.headers["x-request-id"])["trace"]["id"] == trace_id
    trace_of(traced, collector, chat(traced, "gem-healthy"))  # sent after it, so it would be there
    assert collector.of(trace_id) == []


@pytest.mark.parametrize(
    "nonsense", ["", "00-zz-1-01", "00-" + "0" * 32 + f"-{PARENT}-01", "x" * 600]
)
def test_a_trace_that_is_none_begins_anew(
    traced: Service, collector: Collector, nonsense: str
) -> None:
    (server,) = [
        span
        for span in trace_of(traced, collector, chat(traced, "gem-healthy", traceparent=nonsense))
        if span.kind == "server"
    ]
    assert server.parent_id == ""


def test_a_failure_says_what_the_caller_was_told(traced: Service, collector: Collector) -> None:
    answer = chat(traced, "gem-503-after-7s")
    assert answer.status_code == 503
    spans = trace_of(traced, collector, answer)
    (server,) = [span for span in spans if span.kind == "server"]
    assert server.attributes["error.type"] == "providers-unavailable"
    assert server.has_failed
    assert [span.name for span in spans if span.kind == "internal"] == ["accept"]


def test_a_request_that_is_no_chat_is_a_span_of_its_route(
    traced: Service, collector: Collector
) -> None:
    with traced.client() as client:
        client.get(f"/v1/history/{USER}")
    name = "GET /v1/history/{userId}"
    (span,) = collector.wait_for(lambda it: [one for one in it.spans if one.name == name])
    assert span.attributes["http.response.status_code"] == 200


def test_what_is_sent_holds_neither_secrets_nor_words_nor_users(
    traced: Service, collector: Collector
) -> None:
    trace_of(traced, collector, chat(traced, "safe-503-after-7s", stream=True))
    assert collector.paths == {"/v1/traces"}
    assert {one["authorization"] for one in collector.headers} == {f"Bearer {COLLECTOR_KEY}"}
    sent = b"".join(collector.raw)
    assert b"gen_ai.operation.name" in sent
    for canary in (PROVIDER_KEY, COLLECTOR_KEY, PROMPT, USER, ANSWER):
        assert canary.encode() not in sent
    assert not any(COLLECTOR_KEY in line for line in traced.log)


@pytest.mark.slow
def test_a_queued_chat_shows_the_workers_span_in_the_same_trace(
    collector: Collector, tmp_path: Path
) -> None:
    stack = deploy_data_stack(shared_emulator())
    settings = {
        **SOON,
        **stack.settings,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    with (
        running_service(tmp_path / "data", settings) as service,
        watched_worker(tmp_path / "worker", settings) as worker,
    ):
        answer = chat(service, "demo")
        assert answer.status_code == 200
        spans = trace_of(service, collector, answer)
        (accept,) = [span for span in spans if span.name == "accept"]
        assert accept.kind == "producer"
        (work,) = collector.wait_for(
            lambda it: [one for one in it.of(accept.trace_id) if one.kind == "consumer"]
        )
        assert work.parent_id == accept.span_id
        assert work.name == f"process {stack.queues.queue_url.rpartition('/')[2]}"
        assert work.attributes["messaging.system"] == "aws_sqs"
        assert work.attributes["rt.interaction_id"] == answer.headers["x-interaction-id"]
        assert work.attributes["rt.queue_lag_seconds"] >= 0
        assert work.seconds >= 0
        assert worker.stop() == 0


def test_a_collector_that_is_away_costs_one_line_and_no_answer(tmp_path: Path) -> None:
    with socket.socket() as mute:
        # it takes connections and says nothing, the worst a collector can do
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        settings = {
            **SOON,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mute.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",
            "OTEL_BSP_MAX_QUEUE_SIZE": "4",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2",
        }
        with running_service(tmp_path / "data", settings) as service:
            for _ in range(20):
                assert chat(service, "demo").status_code == 200
            service.lines_with("does not accept spans")
            for _ in range(20):
                assert chat(service, "demo").status_code == 200
            assert service.stop(20) == 0
    warnings = [line for line in service.lines() if line["log"]["level"] != "info"]
    assert [re.sub(";.*", "", line["message"]) for line in warnings] == [
        "the trace collector does not accept spans"
    ]

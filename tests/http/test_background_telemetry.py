"""Background answers in logs, metrics and traces, also where another process finishes them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.provider import FaultProvider
from tests.fakes.collector import Collector, collecting
from tests.support.service import Service, running_service

PROMPT = "canary-prompt-4c2a"
USER = "canary-user-4c2a"
TAKEN_OVER_SOON = {"ANSWER_LEASE_SECONDS": "2", "ANSWER_LEASE_RENEWAL_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(settings: dict[str, str], collector: Collector) -> dict[str, str]:
    """Settings of a service that sends traces."""
    return {
        **settings,
        **TAKEN_OVER_SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


async def says_nothing_more(exchange: Exchange) -> None:
    """Send a first word, and wait until the caller is gone."""
    await exchange.begin()
    await exchange.text("All ")
    while not await exchange.hangs_up_within(0.05):
        pass


def ask(service: Service, **headers: str) -> tuple[str, str]:
    """Begin an answer; return the ids of its request and its interaction."""
    body = {"userId": USER, "userPrompt": PROMPT, "model": "gem-healthy", "background": True}
    with service.client() as client:
        accepted = client.post("/v1/chat", json=body, headers=headers)
        assert accepted.status_code == 202
        return accepted.headers["x-request-id"], accepted.json()["id"]


def events_of(service: Service, interaction_id: str) -> str:
    with service.client() as client:
        return client.get(f"/v1/history/{USER}/{interaction_id}/events").text


def test_the_end_of_an_answer_has_the_line_of_a_chat_and_its_request_one_of_its_own(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with running_service(tmp_path / "data", settings) as service:
        request_id, interaction_id = ask(service)
        assert "event: done" in events_of(service, interaction_id)
        (end,) = map(json.loads, service.lines_with("background answer completed"))
        lines = [json.loads(line) for line in service.lines_with(request_id)]
    (accepted,) = [line for line in lines if line["message"] == "request completed"]
    assert accepted["event"]["action"] == "http.request"
    assert accepted["http"]["response"]["status_code"] == 202
    assert accepted["rt"] == {"interaction_id": interaction_id}
    assert end["event"]["action"] == "llm.chat"
    assert end["event"]["outcome"] == "success"
    assert end["event"]["duration"] > 0
    assert end["http"]["request"]["id"] == request_id
    assert end["trace"] == {"id": request_id}
    assert end["user"] == accepted["user"]
    assert end["rt"]["interaction_id"] == interaction_id
    assert (end["rt"]["status"], end["rt"]["attempts"]) == ("completed", 1)
    assert [attempt["outcome"] for attempt in end["rt"]["attempts_detail"]] == ["ok"]
    assert end["gen_ai"]["usage"] == {"input_tokens": 7, "output_tokens": 5}
    text = "\n".join(service.log)
    assert PROMPT not in text
    assert USER not in text


@pytest.mark.slow
def test_a_process_that_takes_over_goes_on_with_the_trace_of_the_request(
    provider: FaultProvider, traced: dict[str, str], collector: Collector, tmp_path: Path
) -> None:
    provider.override["healthy"] = says_nothing_more
    try:
        with running_service(tmp_path / "data", traced) as first:
            request_id, interaction_id = ask(first)
            with first.client() as client:
                path = f"/v1/history/{USER}/{interaction_id}/events"
                with client.stream("GET", path) as stream:
                    next(line for line in stream.iter_lines() if "All" in line)
            trace_id = trace_of(first, request_id)
            server = span_of(collector, trace_id, "POST /v1/chat")
            first.kill()
    finally:
        del provider.override["healthy"]
    with running_service(tmp_path / "data", traced) as second:
        assert "event: restart" in events_of(second, interaction_id)
        (end,) = map(json.loads, second.lines_with("background answer completed"))
        second.lines_with("background answer taken over")
        assert end["trace"] == {"id": trace_id}
        assert [attempt["outcome"] for attempt in end["rt"]["attempts_detail"]] == ["lost", "ok"]
        answer = span_of(collector, trace_id, "answer")
        call = span_of(collector, trace_id, "chat gem-healthy")
        figures = metrics_of(second)
    assert answer.parent_id == server.span_id
    assert call.parent_id == answer.span_id
    assert answer.attributes["rt.interaction_id"] == interaction_id
    assert answer.attributes["rt.taken_over"] is True
    assert answer.attributes["rt.status"] == "completed"
    assert answer.attributes["rt.attempts"] == 2
    assert not answer.has_failed
    accepts = [span for span in collector.of(trace_id) if span.name == "accept"]
    assert accepts[-1].parent_id == answer.span_id
    assert figures["rt_background_takeovers_total"] == 1
    assert figures['rt_background_restarts_total{reason="cannot-continue"}'] == 1
    assert figures['rt_background_answers_ended_total{status="completed"}'] == 1
    assert figures['rt_chats_total{status="completed"}'] == 1
    assert figures["rt_background_answers"] == 0
    assert figures["rt_background_answers_waiting"] == 0
    assert figures["rt_background_append_seconds_count"] > 0
    assert not [name for name in figures if "_created" in name]


def trace_of(service: Service, request_id: str) -> str:
    """Return the id of the trace of a request that has ended."""
    lines = [json.loads(line) for line in service.lines_with(request_id)]
    trace_id: str = lines[0]["trace"]["id"]
    return trace_id


def span_of(collector: Collector, trace_id: str, name: str) -> Any:
    found = collector.wait_for(lambda it: [span for span in it.of(trace_id) if span.name == name])
    return found[-1]


def metrics_of(service: Service) -> dict[str, float]:
    """Return each series of `/metrics` with its value."""
    with service.client() as client:
        text = client.get("/metrics").text
    return {
        match[1]: float(match[2]) for match in re.finditer(r"^(rt_\S+) (\S+)$", text, re.MULTILINE)
    }

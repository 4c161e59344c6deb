"""What calls used that failed, were blocked, were replaced or were left by the client: told by attempt, and in the sum."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx2
import pytest

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT, Fault
from tests.fakes.recordings import recordings
from tests.faults.fault_scenario import FaultScenario, running_scenario
from tests.faults.routes import WIRES, behind, upstream

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

GEMINI_COUNTS = {"promptTokenCount": 40, "candidatesTokenCount": 2, "totalTokenCount": 42}
OPENAI_COUNTS = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
USED = {
    "inputTokens": 40,
    "outputTokens": 2,
    "reasoningTokens": None,
    "totalTokens": 42,
    "costUsd": None,
}
BY_THE_HEALTHY = USED | {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}
OF_BOTH = USED | {"inputTokens": 47, "outputTokens": 7, "totalTokens": 54}


def counted(exchange: Exchange, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the counts of its wire."""
    if exchange.wire is Wire.GEMINI:
        return {**document, "usageMetadata": GEMINI_COUNTS}
    return {**document, "usage": OPENAI_COUNTS}


def after_some_text(end: Callable[[Exchange], Awaitable[None]]) -> Fault:
    """Return what says something, tells what it used by then, and ends so."""

    async def fault(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(counted(exchange, exchange.piece(FIRST_TEXT)))
        await end(exchange)

    return fault


async def error_event(exchange: Exchange) -> None:
    await exchange.event(exchange.error(500, "INTERNAL", "no"))
    await exchange.close_stream()


async def error_event_with_counts(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.event(counted(exchange, exchange.error(500, "INTERNAL", "no")))
    await exchange.close_stream()


async def refusal_with_counts(exchange: Exchange) -> None:
    await exchange.status(500, counted(exchange, exchange.error(500, "INTERNAL", "no")))


async def unreadable(exchange: Exchange) -> None:
    await exchange.event(b'{"choices": 7, "candidates": 7}')
    await exchange.close_stream()


async def silent(exchange: Exchange) -> None:
    await exchange.silence()


async def cut(exchange: Exchange) -> None:
    exchange.reset()


async def nothing_said(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.event(counted(exchange, exchange.end("stop")))
    await exchange.close_stream()


async def blocked(exchange: Exchange) -> None:
    await exchange.begin()
    if exchange.wire is Wire.GEMINI:
        await exchange.event(counted(exchange, {"promptFeedback": {"blockReason": "SAFETY"}}))
    else:
        await exchange.event(exchange.end("content_filter"))
        await exchange.event(counted(exchange, {"choices": []}))
    await exchange.close_stream()


REPLACED = {
    "error-event": after_some_text(error_event),
    "error-event-with-counts": error_event_with_counts,
    "refusal-with-counts": refusal_with_counts,
    "unreadable": after_some_text(unreadable),
    "silent-in-mid-answer": after_some_text(silent),
    "cut-in-mid-answer": after_some_text(cut),
    "nothing-said": nothing_said,
}
OTHERS = ("counted-block", "counted-break", "left", "recorded")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    with running_scenario(tmp_path_factory.mktemp("usage"), [*REPLACED, *OTHERS]) as scenario:
        for wire in WIRES:
            for way in ("", "-safe", "-goes-on"):
                for fault, plays in REPLACED.items():
                    model = f"{wire}-{fault}{way}"
                    scenario.provider.override[upstream(model, fault)] = plays
        yield scenario


def summed(attempts: list[Mapping[str, Any]], name: str) -> int:
    return sum(one["usage"][name] for one in attempts if "usage" in one)


@pytest.mark.seen("A13")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", REPLACED)
def test_what_a_replaced_attempt_used_is_told_and_summed(
    scenario: FaultScenario, fault: str, wire: str
) -> None:
    result = scenario.ask(f"{wire}-{fault}-safe")
    *failed, answered = result.attempts
    assert result.text == WHOLE_TEXT
    assert [one["provider"] for one in failed] == [wire] * len(failed)
    assert [one["usage"] for one in failed] == [USED] * len(failed)
    assert result.kept["usage"]["inputTokens"] == summed(list(result.attempts), "inputTokens")
    if behind(wire) == "alt":  # the healthy one of the other wire is not asked for its counts here
        assert answered["usage"] == BY_THE_HEALTHY
    if len(failed) == 1:
        assert result.kept["usage"] == OF_BOTH


@pytest.mark.seen("A13")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_what_a_failed_answer_used_is_told_where_nobody_else_answers(
    scenario: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = scenario.ask(f"{wire}-unreadable", is_streamed=is_streamed)
    assert result.slug == "providers-failed"
    assert [one["usage"] for one in result.attempts] == [USED]
    assert result.kept["usage"] == USED


@pytest.mark.seen("A13")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_what_a_block_cost_is_told(scenario: FaultScenario, wire: str, is_streamed: bool) -> None:
    model = f"{wire}-counted-block-safe"
    scenario.provider.override[upstream(model, "counted-block")] = blocked
    result = scenario.ask(model, is_streamed=is_streamed)
    assert result.slug == "content-blocked"
    assert [(one["outcome"], one["usage"]) for one in result.attempts] == [("blocked", USED)]
    assert result.kept["usage"] == USED


@pytest.mark.seen("A13")
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_recorded_block_counts_its_tokens(scenario: FaultScenario, is_streamed: bool) -> None:
    recorded = [
        one for one in recordings("gemini") if one.name == "gemini_generate_blocked_by_safety"
    ]
    if not recorded:
        pytest.skip("the recordings are not at hand")

    async def replay(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(recorded[0].response["json"])
        await exchange.close_stream()

    model = "gem-recorded-safe"
    scenario.provider.override[upstream(model, "recorded")] = replay
    result = scenario.ask(model, is_streamed=is_streamed)
    assert result.slug == "content-blocked"
    assert result.attempts[0]["usage"]["totalTokens"] == 14
    assert result.kept["usage"]["totalTokens"] == 14


@pytest.mark.seen("A13")
@pytest.mark.parametrize("wire", WIRES)
def test_both_parts_of_a_continued_answer_are_summed(scenario: FaultScenario, wire: str) -> None:
    result = scenario.ask(f"{wire}-silent-in-mid-answer-goes-on", is_streamed=True)
    assert result.text == FIRST_TEXT + WHOLE_TEXT
    assert [one["usage"] for one in result.attempts] == [USED, BY_THE_HEALTHY]
    assert result.kept["usage"] == OF_BOTH


@pytest.mark.seen("A13")
@pytest.mark.parametrize("wire", WIRES)
def test_what_was_used_when_the_client_left_a_stream_is_kept(
    scenario: FaultScenario, wire: str
) -> None:
    model = f"{wire}-left-safe"
    scenario.provider.override[upstream(model, "left")] = after_some_text(silent)
    body = {"userId": f"leaver-{wire}", "userPrompt": "?", "model": model, "stream": True}
    with scenario.client.stream("POST", "/v1/chat", json=body) as response:
        assert any(FIRST_TEXT.strip() in line for line in response.iter_lines())
    deadline = time.monotonic() + 10.0
    while not (kept := scenario.kept_of(f"leaver-{wire}")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (one,) = kept
    assert (one["status"], one["response"]) == ("client_cancelled", FIRST_TEXT)
    assert [(attempt["outcome"], attempt["usage"]) for attempt in one["attempts"]] == [
        ("cancelled", USED)
    ]
    assert one["usage"] == USED


@pytest.mark.seen("A13")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_the_other_door_tells_the_sum(
    scenario: FaultScenario, wire: str, is_streamed: bool
) -> None:
    body: dict[str, Any] = {
        "model": f"{wire}-error-event-with-counts-safe",
        "messages": [{"role": "user", "content": "?"}],
        "user": f"sum-{wire}-{is_streamed}",
    }
    if is_streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    usage = usage_told(scenario.client.post("/v1/chat/completions", json=body))
    (kept,) = scenario.kept_of(body["user"])
    assert len(kept["attempts"]) in (2, 3)
    assert usage["prompt_tokens"] == summed(kept["attempts"], "inputTokens")
    assert usage["prompt_tokens"] == kept["usage"]["inputTokens"] >= 47


def usage_told(response: httpx2.Response) -> dict[str, Any]:
    if not response.headers["content-type"].startswith("text/event-stream"):
        found: dict[str, Any] = response.json()["usage"]
        return found
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    (usage,) = [one["usage"] for one in map(json.loads, lines[:-1]) if one.get("usage")]
    return dict(usage)

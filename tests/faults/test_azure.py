"""Azure OpenAI's content filter, seen through every API format, plain and streamed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.fault import FIRST_TEXT, TEXTS, WHOLE_TEXT, Faults
from tests.fakes import azure
from tests.fakes.behaviour import Raw
from tests.faults.dialects import complete, stage_of_dialects
from tests.faults.fault_scenario import FaultScenario

AZURE = Faults()
BOTH = pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])


async def play(exchange: Exchange, raw: Raw) -> None:
    await exchange.begin()
    for step in raw.steps:
        assert isinstance(step, bytes)
        await exchange.raw(step)
    await exchange.close_stream()


@AZURE.named("azure")
async def healthy(exchange: Exchange) -> None:
    await play(exchange, azure.answer(*TEXTS))


@AZURE.named("azure-asynchronous-filter")
async def asynchronous_filter(exchange: Exchange) -> None:
    await play(exchange, azure.answer(*TEXTS, is_asynchronous=True))


@AZURE.named("azure-filters-answer")
async def filters_answer(exchange: Exchange) -> None:
    await play(exchange, azure.answer(FIRST_TEXT, finish_reason="content_filter"))


@AZURE.named("azure-filters-prompt")
async def filters_prompt(exchange: Exchange) -> None:
    await exchange.status(400, azure.filtered_prompt())


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    with stage_of_dialects(tmp_path_factory.mktemp("azure"), AZURE, ways=("-safe",)) as scenario:
        yield scenario


@BOTH
@pytest.mark.parametrize("fault", ["azure", "azure-asynchronous-filter"])
def test_results_of_the_filter_are_no_part_of_an_answer(
    scenario: FaultScenario, fault: str, is_streamed: bool
) -> None:
    result = scenario.ask(f"alt-{fault}-safe", is_streamed=is_streamed)
    assert (result.text, result.outcomes) == (WHOLE_TEXT, [("alt", "ok")])
    assert (result.kept["status"], result.kept["finishReason"]) == ("completed", "stop")
    assert result.kept["usage"]["totalTokens"] == 12


@BOTH
def test_a_filtered_answer_keeps_its_text_and_is_blocked(
    scenario: FaultScenario, is_streamed: bool
) -> None:
    model = "alt-azure-filters-answer-safe"
    result = scenario.ask(model, is_streamed=is_streamed)
    assert (result.text, result.outcomes) == (FIRST_TEXT, [("alt", "blocked")])
    assert (result.kept["status"], result.kept["finishReason"]) == ("blocked", "content_filter")
    done = complete(scenario, model, is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, FIRST_TEXT, "content_filter")
    assert _stop_reason(scenario, model, is_streamed=is_streamed) == "refusal"
    assert _incomplete_reason(scenario, model, is_streamed=is_streamed) == "content_filter"


@BOTH
def test_a_filtered_prompt_is_blocked_and_no_other_model_is_called(
    scenario: FaultScenario, is_streamed: bool
) -> None:
    model = "alt-azure-filters-prompt-safe"
    result = scenario.ask(model, is_streamed=is_streamed)
    assert (result.status, result.slug) == (422, "content-blocked")
    assert result.outcomes == [("alt", "blocked")]
    assert result.kept["status"] == "blocked"
    done = complete(scenario, model, is_streamed=is_streamed)
    assert (done.status, done.code) == (400, "content_filter")


def _stop_reason(scenario: FaultScenario, model: str, *, is_streamed: bool) -> object:
    """Return how the answer ends in Anthropic's format."""
    body = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"messages {is_streamed}"}],
        "stream": is_streamed,
    }
    response = scenario.client.post("/v1/messages", json=body)
    if not is_streamed:
        return response.json()["stop_reason"]
    ends = [event for event in _events(response.text) if event["type"] == "message_delta"]
    return ends[-1]["delta"]["stop_reason"]


def _incomplete_reason(scenario: FaultScenario, model: str, *, is_streamed: bool) -> object:
    """Return why the answer is incomplete in the format of the Responses API."""
    body = {"model": model, "input": f"respond {is_streamed}", "stream": is_streamed}
    response = scenario.client.post("/v1/responses", json=body)
    answer = _events(response.text)[-1]["response"] if is_streamed else response.json()
    return answer["incomplete_details"]["reason"]


def _events(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]

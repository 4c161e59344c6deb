"""What a Chat Completions server is sent, and what its answers mean."""

from typing import Any

import orjson
import pytest

from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.answer_reader import ErrorInAnswer, UnreadableAnswer
from infra.llm.dialect import Dialect
from infra.llm.openai_wire import OpenAIReader, limit_field, request_body
from tests.fakes.openai import chunk, completion


def body_of(prompt: Prompt) -> Any:
    return orjson.loads(request_body(prompt, Dialect(), model="openai/x"))


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(Prompt.asking("Hi")) == {
        "model": "openai/x",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_everything_that_was_chosen_is_sent() -> None:
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="Hi"),
            Message(role=Role.ASSISTANT, text="Hello."),
            Message(role=Role.USER, text="And?"),
        ),
        system="Be short.",
        temperature=0.0,
        max_output_tokens=7,
        top_p=0.9,
        stop=("END", "STOP"),
        seed=0,
    )
    assert body_of(prompt) == {
        "model": "openai/x",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "And?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": 7,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://my-company.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_the_bound_on_output_is_named_as_the_server_knows_it(base_url: str, field: str) -> None:
    assert limit_field(base_url) == field


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("error", FinishReason.ERROR),
        ("tool_calls", FinishReason.ERROR),
        ("function_call", FinishReason.ERROR),
        ("something of 2030", FinishReason.ERROR),
        ("", None),
        (None, None),
    ],
)
def test_what_a_finish_reason_means(reason: str | None, meaning: FinishReason | None) -> None:
    reader = OpenAIReader()
    assert reader.take(chunk({"content": "text"}, reason)) == "text"
    assert reader.finish_reason is meaning


def test_done_alone_says_that_the_answer_is_over() -> None:
    reader = OpenAIReader()
    reader.take(chunk({"content": "text"}))
    reader.done()
    assert reader.finish_reason is FinishReason.STOP


def test_done_does_not_change_the_reason_that_was_given() -> None:
    reader = OpenAIReader()
    reader.take(chunk({}, "length"))
    reader.done()
    assert reader.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant", "content": ""},
        {"content": None},
        {"content": "", "reasoning": "We need"},
        {"tool_calls": []},
    ],
)
def test_a_delta_without_content_is_no_text(delta: dict[str, Any]) -> None:
    assert OpenAIReader().take(chunk(delta)) == ""


def test_a_whole_completion_is_read_as_well() -> None:
    reader = OpenAIReader()
    assert reader.take(completion("text", usage={"total_tokens": 3})) == "text"
    assert (reader.finish_reason, reader.usage().total_tokens) == (FinishReason.STOP, 3)


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"code": 502}},
        {"error": "model not found"},
        chunk({"content": ""}, "error", error={"code": 502}),
        {"choices": [{"delta": {}, "error": {"code": 502}}]},
    ],
)
def test_an_error_in_the_answer_is_told(document: object) -> None:
    with pytest.raises(ErrorInAnswer):
        OpenAIReader().take(document)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {
                "prompt_tokens": 43,
                "completion_tokens": 10,
                "total_tokens": 53,
                "cost": 0.000125,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            Usage(
                input_tokens=43,
                output_tokens=10,
                total_tokens=53,
                reasoning_tokens=9,
                cached_input_tokens=3,
                cost_usd=0.000125,
            ),
        ),
        ({"cost": 0}, Usage(cost_usd=0.0)),
        ({"cost": 0.1, "is_byok": True}, NO_USAGE),
        ({"cost": -1}, NO_USAGE),
        ({"cost": "0.1"}, NO_USAGE),
        ({"cost": True}, NO_USAGE),
        ({"prompt_tokens": None, "completion_tokens": 1.5}, NO_USAGE),
        ({"prompt_tokens_details": None, "completion_tokens_details": 7}, NO_USAGE),
        ("many", NO_USAGE),
    ],
)
def test_counts_and_cost_are_taken_as_said(counts: object, usage: Usage) -> None:
    reader = OpenAIReader()
    reader.take({"choices": [], "usage": counts})
    assert reader.usage() == usage


@pytest.mark.parametrize(
    "document",
    [
        "text",
        7,
        None,
        [],
        {"choices": "text"},
        {"choices": ["text"]},
        {"choices": [None]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": [{"type": "text", "text": "x"}]}}]},
        {"choices": [{"message": ["text"]}]},
        {"choices": [{"finish_reason": 7}]},
    ],
)
def test_a_wrong_shape_is_told(document: object) -> None:
    with pytest.raises(UnreadableAnswer):
        OpenAIReader().take(document)

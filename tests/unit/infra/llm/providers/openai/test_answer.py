"""Chunks and messages of Chat Completions."""

from typing import Any

import pytest

from domain.entities.reply import NO_USAGE, FinishReason, Usage
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from tests.fakes.openai import chunk, completion
from tests.fakes.received import text_of


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("error", FinishReason.ERROR),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("network_error", FinishReason.ERROR),
        ("malformed_function_call", FinishReason.ERROR),
        *dict.fromkeys(
            ["STOP", "Stop", "end", "eos", "eos_token", "end_turn", "stop_sequence"],
            FinishReason.STOP,
        ).items(),
        *dict.fromkeys(["done", "complete", "completed", " stop "], FinishReason.STOP).items(),
        *dict.fromkeys(
            ["LENGTH", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"],
            FinishReason.LENGTH,
        ).items(),
        ("incomplete", FinishReason.LENGTH),
        *dict.fromkeys(
            ["SAFETY", "sensitive", "refusal", "blocklist", "PROHIBITED_CONTENT", "recitation"],
            FinishReason.CONTENT_FILTER,
        ).items(),
        ("Spii", FinishReason.CONTENT_FILTER),
        ("null", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_finish_reason_means(reason: str | None, meaning: FinishReason | None) -> None:
    reader = OpenAIReader()
    assert text_of(reader.take(chunk({"content": "text"}, reason))) == "text"
    assert reader.finish_reason is meaning


@pytest.mark.seen("A4")
def test_what_an_unknown_word_means_is_open_until_done() -> None:
    reader = OpenAIReader()
    reader.take(chunk({"content": "text"}, "something of 2030"))
    assert (reader.finish_reason, reader.is_reason_unknown) == (None, True)
    reader.done()
    assert reader.finish_reason is FinishReason.STOP


@pytest.mark.seen("A3")
@pytest.mark.parametrize("later", ["stop", "error", "something of 2030"])
def test_a_block_stays_whatever_is_said_after_it(later: str) -> None:
    reader = OpenAIReader()
    reader.take(chunk({}, "SAFETY"))
    reader.take(chunk({}, later))
    reader.done()
    assert reader.finish_reason is FinishReason.CONTENT_FILTER


def texts_of(*documents: object) -> list[str]:
    reader = OpenAIReader()
    return [text_of(reader.take(document)) for document in documents]


@pytest.mark.seen("A5")
def test_a_message_after_deltas_repeats_them() -> None:
    said = (
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "te"}),
        chunk({"content": "xt"}),
    )
    assert texts_of(*said, completion("text")) == ["", "te", "xt", ""]


def test_a_message_after_deltas_without_text_is_the_answer() -> None:
    assert texts_of(chunk({"role": "assistant"}), completion("text")) == ["", "text"]
    both = completion("text")
    both["choices"][0]["delta"] = {}
    assert texts_of(both) == ["text"]


@pytest.mark.seen("A6")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}], ""),
        ([{"type": "thinking", "text": "hm"}, {"type": "output_text", "text": "a"}], "a"),
        ([{"type": "reasoning", "text": "hm"}, "a"], "a"),
        ([{"type": "text", "text": [{"type": "text", "text": "a"}, "b"]}], "ab"),
        ([{"type": "text", "text": None}, {"type": "image_url"}, None], ""),
        ({"type": "text", "text": "a"}, "a"),
        ([], ""),
    ],
)
def test_content_may_be_a_list_of_parts(content: object, text: str) -> None:
    assert texts_of(chunk({"content": content})) == [text]
    assert texts_of(completion(content)) == [text]  # type: ignore[arg-type]


@pytest.mark.seen("A7")
@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot."},
        {"content": "", "refusal": "I cannot."},
        {"content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_a_refusal_is_a_text_and_a_block(message: dict[str, Any]) -> None:
    reader = OpenAIReader()
    assert text_of(reader.take(chunk(message, "stop"))) == "I cannot."
    assert reader.finish_reason is FinishReason.CONTENT_FILTER
    reader = OpenAIReader()
    assert (
        text_of(reader.take({"choices": [{"message": message, "finish_reason": "stop"}]}))
        == "I cannot."
    )
    assert reader.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize("refusal", [None, "", False])
def test_no_refusal_is_none(refusal: object) -> None:
    reader = OpenAIReader()
    assert text_of(reader.take(chunk({"content": "a", "refusal": refusal}, "stop"))) == "a"
    assert reader.finish_reason is FinishReason.STOP


@pytest.mark.seen("A9")
@pytest.mark.parametrize(
    ("delta", "is_at_work"),
    [
        ({"reasoning_content": "hm"}, True),
        ({"content": "", "reasoning": "hm"}, True),
        ({"content": None, "reasoning_details": [{"type": "reasoning.text"}]}, True),
        ({"content": [{"type": "thinking", "thinking": []}]}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"role": "assistant", "content": ""}, False),
        ({"content": "", "reasoning_content": None, "tool_calls": []}, False),
        ({}, False),
    ],
)
def test_thoughts_and_calls_show_that_the_model_is_at_work(
    delta: dict[str, Any], is_at_work: bool
) -> None:
    reader = OpenAIReader()
    received = reader.take(chunk(delta))
    assert text_of(received) == ""
    assert (reader.has_progress or bool(received)) is is_at_work


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
    assert text_of(OpenAIReader().take(chunk(delta))) == ""


def test_a_whole_completion_is_read_as_well() -> None:
    reader = OpenAIReader()
    assert text_of(reader.take(completion("text", usage={"total_tokens": 3}))) == "text"
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
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            Usage(
                input_tokens=43,
                output_tokens=10,
                total_tokens=53,
                reasoning_tokens=9,
                cached_input_tokens=3,
                cache_write_tokens=2,
                cost_usd=0.000125,
            ),
        ),
        ({"cost": 0}, Usage(cost_usd=0.0)),
        ({"cost": 0.1, "is_byok": True}, NO_USAGE),
        ({"cost": -1}, NO_USAGE),
        ({"cost": 1e200, "prompt_tokens": 10**12, "total_tokens": 10**400}, NO_USAGE),
        ({"cost": 99_999, "prompt_tokens": 10**9}, Usage(cost_usd=99_999.0, input_tokens=10**9)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 70,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(input_tokens=10, output_tokens=60, reasoning_tokens=40, total_tokens=70),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 20, "prompt_cache_hit_tokens": 6},
            Usage(input_tokens=10, output_tokens=20, cached_input_tokens=6),
        ),
        (
            {
                "prompt_tokens_details": {"cached_tokens": 3},
                "prompt_cache_hit_tokens": 6,
                "reasoning_tokens": 2,
            },
            Usage(cached_input_tokens=3, reasoning_tokens=2),
        ),
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


def test_counts_come_in_the_chunk_or_the_choice_and_the_last_hold() -> None:
    reader = OpenAIReader()
    reader.take(chunk({"content": "a"}, usage={"total_tokens": 1}))
    reader.take({"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"total_tokens": 2}}]})
    assert reader.usage().total_tokens == 2
    reader.take({"choices": [], "usage": {"total_tokens": 3}})
    reader.take({"choices": [{"delta": {}, "usage": None}], "usage": {}})
    assert reader.usage().total_tokens == 3


DEEP: list[Any] = []
for _ in range(900):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "document",
    [
        DEEP,
        {"choices": DEEP},
        {"choices": [{"delta": {"content": DEEP}}]},
        {"choices": [{"delta": {"refusal": DEEP}}]},
        {"choices": [{"delta": {}, "finish_reason": DEEP}]},
        "text",
        7,
        None,
        [],
        {"choices": "text"},
        {"choices": ["text"]},
        {"choices": [None]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": [{"type": "text", "text": 7}]}}]},
        {"choices": [{"message": ["text"]}]},
        {"choices": [{"finish_reason": 7}]},
    ],
)
def test_a_wrong_shape_is_told(document: object) -> None:
    with pytest.raises(UnreadableAnswer):
        OpenAIReader().take(document)

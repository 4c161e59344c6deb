"""Whatever a provider sends, the answer ends in a reply or in an error of the domain."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.reply import Reply, Usage
from domain.exceptions import LLMError
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.errors.mapping import TranslateErrors, refusal
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer
from infra.selftest import event_stream
from tests.fakes import anthropic, gemini, openai
from tests.fakes.received import text_of

MAX_BYTES = 2000

GEMINI: list[Any] = [
    gemini.candidate("The ") | {"usageMetadata": {"promptTokenCount": 15, "totalTokenCount": 15}},
    gemini.candidate("capital") | {"promptFeedback": {"safetyRatings": []}},
    gemini.candidate(None, finishReason="STOP"),
    {"promptFeedback": {"blockReason": "SAFETY"}},
    {"error": {"code": 429, "status": "X", "details": [{"retryDelay": "3.5s", "reason": "Y"}]}},
]
OPENAI: list[Any] = [
    openai.chunk({"role": "assistant", "content": "The "}),
    openai.completion("capital"),
    openai.chunk({}, "stop"),
    {
        "choices": [],
        "usage": {"cost": 0.1, "total_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    {"error": {"code": 502, "message": "x", "metadata": {"reasons": [], "limit_source": "x"}}},
]
ANTHROPIC: list[Any] = [
    {
        "type": "message_start",
        "message": anthropic.message((), None, Usage(input_tokens=3, output_tokens=1)),
    },
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "a", "name": "x", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": '{"a":'},
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 1}},
    },
    anthropic.message([{"type": "text", "text": "capital"}], "end_turn", None),
    anthropic.error_body(529),
]
BEDROCK: list[Any] = [
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "The "}}},
    {
        "contentBlockStart": {
            "contentBlockIndex": 1,
            "start": {"toolUse": {"toolUseId": "a", "name": "x"}},
        }
    },
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":'}}}},
    {
        "contentBlockDelta": {
            "contentBlockIndex": 2,
            "delta": {
                "reasoningContent": {"text": "a", "signature": "b", "redactedContent": "YQ=="}
            },
        }
    },
    {"contentBlockStop": {"contentBlockIndex": 2}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}}},
    {
        "output": {
            "message": {
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "a", "signature": "b"}}},
                    {"text": "capital"},
                    {"toolUse": {"toolUseId": "a", "name": "x", "input": {}}},
                ]
            }
        },
        "stopReason": "tool_use",
    },
    {"error": {"type": "ThrottlingException", "message": "x"}},
]
DIALECTS = [
    pytest.param(GeminiReader, GEMINI, id="gemini"),
    pytest.param(OpenAIReader, OPENAI, id="openai"),
    pytest.param(AnthropicReader, ANTHROPIC, id="anthropic"),
    pytest.param(BedrockReader, BEDROCK, id="bedrock"),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=8) | st.sampled_from(["STOP", "stop", "SAFETY", "error", "429", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def bedrock_event(document: Any) -> bytes:
    """Return the message of the first field of a document, or the document alone where it is no event."""
    if not isinstance(document, dict) or not document or not next(iter(document)).isascii():
        return orjson.dumps(document)
    kind = next(iter(document))
    return event_stream.event(kind, document[kind])


def ends_well(make_reader: Callable[[], AnswerReader], chunks: list[bytes]) -> None:
    """Read to the end; only a reply or an `LLMError` may come of it, and the text fits the limit."""
    answer = ReceivedAnswer("provider", make_reader(), {}, max_bytes=MAX_BYTES)
    text = ""
    for chunk in [*chunks, b""]:
        if not answer.is_over:
            text += text_of(answer.take(chunk))
    assert len(text.encode()) <= MAX_BYTES
    try:
        with TranslateErrors("provider"):
            *_, reply = answer.end(lambda usage: usage)
    except LLMError:
        return
    assert isinstance(reply, Reply)
    for number in (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens):
        assert number is None or 0 <= number < 2**54


def damaged(document: Any, seed: random.Random, value: Any) -> Any:
    """Return a copy in which one place holds `value` instead."""
    if not isinstance(document, dict | list) or not document or seed.random() < 0.15:
        return value
    if isinstance(document, list):
        place = seed.randrange(len(document))
        return [damaged(v, seed, value) if i == place else v for i, v in enumerate(document)]
    name = seed.choice(sorted(document))
    return {k: damaged(v, seed, value) if k == name else v for k, v in document.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("make_reader", "documents"), DIALECTS)
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_wrong_type_anywhere(
    make_reader: Callable[[], AnswerReader], documents: list[Any], data: st.DataObject
) -> None:
    seed = data.draw(st.randoms(use_true_random=False))
    sent = [
        damaged(document, seed, data.draw(json_values)) if seed.random() < 0.5 else document
        for document in seed.sample(documents, 3)
    ]
    framed = bedrock_event if make_reader is BedrockReader else gemini.event
    ends_well(make_reader, [framed(document) for document in sent])
    ends_well(make_reader, [orjson.dumps(sent[0])])


@pytest.mark.slow
@pytest.mark.parametrize(("make_reader", "documents"), DIALECTS)
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bytes_lost_doubled_or_changed(
    make_reader: Callable[[], AnswerReader], documents: list[Any], data: st.DataObject
) -> None:
    body = bytearray(b"".join(map(openai.event, documents[:3])) + openai.DONE)
    if make_reader is BedrockReader:
        body = bytearray(b"".join(map(bedrock_event, documents[:3])))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    cut = data.draw(st.integers(0, len(body)))
    ends_well(make_reader, [bytes(part) for part in (body[:cut], body[cut:]) if part])


@pytest.mark.parametrize(("make_reader", "documents"), DIALECTS)
@settings(max_examples=100, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5))
def test_noise(
    make_reader: Callable[[], AnswerReader], documents: list[Any], chunks: list[bytes]
) -> None:
    ends_well(make_reader, chunks)


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(200, 599),
    error=json_values,
    names=st.lists(
        st.sampled_from(["code", "type", "status", "message", "details", "metadata"]), max_size=6
    ),
    header=st.text(max_size=12),
)
def test_a_refusal_of_any_shape(status: int, error: Any, names: list[str], header: str) -> None:
    for body in (error, {"error": error}, {"error": dict.fromkeys(names, error)}, [error]):
        found = refusal("provider", status, body, {"Retry-After": header, "Date": header})
        assert isinstance(found, LLMError)
        assert found.retry_after_seconds is None or 0 <= found.retry_after_seconds <= 86_400

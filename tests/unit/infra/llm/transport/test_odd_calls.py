"""Calls and reasoning with lone surrogates or deep nesting: nothing raises in a reader or in a format of the API."""

from collections.abc import Sequence

import orjson
import pytest

from app.dto.native.items import tool_call_document
from app.dto.openai_chat.tool_calls import tool_call
from domain.entities.items import ToolCall
from domain.entities.reply import AnswerEvent, ReasoningDelta, Reply, Usage
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer

HALF = rb"\ud800"


def unchanged(usage: Usage) -> Usage:
    return usage


def gemini(part: bytes) -> bytes:
    return b'{"candidates":[{"content":{"parts":[' + part + b']},"finishReason":"STOP"}]}'


def openai(delta: bytes) -> bytes:
    return b'{"choices":[{"delta":' + delta + b',"finish_reason":"stop"}]}'


def events_of(reader: AnswerReader, document: bytes) -> list[AnswerEvent]:
    answer = ReceivedAnswer("p", reader, {}, max_bytes=1_000_000, may_call=True)
    events: list[AnswerEvent] = []
    for chunk in (b"data: " + document + b"\n\n", b""):
        received = answer.take(chunk)
        events += [received] if isinstance(received, str) else received
    return [*events, *answer.end(unchanged)]


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


GEMINI_CALLS = [
    b'{"functionCall":{"name":"f","args":{"a":"' + HALF + b'"}}}',
    b'{"functionCall":{"name":"f","args":{"' + HALF + b'":1}}}',
    b'{"functionCall":{"name":"f' + HALF + b'","id":"' + HALF + b'","args":{}}}',
    b'{"functionCall":{"name":"f","args":' + nested(300) + b"}}",
]
OPENAI_CALLS = [
    b'{"id":"c","function":{"name":"f","arguments":"{\\"a\\":\\"' + HALF + b'\\"}"}}',
    b'{"id":"c' + HALF + b'","function":{"name":"f' + HALF + b'","arguments":"{}"}}',
    b'{"id":"c","function":{"name":"f","arguments":{"a":"' + HALF + b'"}}}',
    b'{"id":"c","function":{"name":"f","arguments":' + orjson.dumps(nested(300).decode()) + b"}}",
]


ANTHROPIC_CALLS = [
    b'{"type":"tool_use","id":"c","name":"f","input":{"a":"' + HALF + b'"}}',
    b'{"type":"tool_use","id":"c","name":"f","input":{"' + HALF + b'":1}}',
    b'{"type":"tool_use","id":"' + HALF + b'","name":"f' + HALF + b'","input":{}}',
    b'{"type":"tool_use","id":"c","name":"f","input":' + nested(300) + b"}",
]


def anthropic(*blocks: bytes) -> bytes:
    content = b",".join(blocks)
    return b'{"type":"message","content":[' + content + b'],"stop_reason":"tool_use"}'


def _can_be_written(events: Sequence[AnswerEvent]) -> bool:
    """Return whether there is a call, after writing all events in both formats."""
    calls = [event for event in events if isinstance(event, ToolCall)]
    for call in calls:
        orjson.dumps([tool_call_document(call), tool_call(call)])
    for event in events:
        if isinstance(event, ReasoningDelta):
            orjson.dumps(event.text)
    return bool(calls)


@pytest.mark.parametrize("part", GEMINI_CALLS, ids=["value", "key", "id", "deep"])
def test_any_call_of_gemini_can_be_written(part: bytes) -> None:
    events = events_of(GeminiReader(), gemini(part))
    assert isinstance(events[-1], Reply)
    assert _can_be_written(events)


@pytest.mark.parametrize("call", OPENAI_CALLS, ids=["value", "id", "object", "deep"])
def test_any_call_of_openai_can_be_written(call: bytes) -> None:
    events = events_of(OpenAIReader(), openai(b'{"tool_calls":[' + call + b"]}"))
    assert isinstance(events[-1], Reply)
    assert _can_be_written(events)


@pytest.mark.parametrize("block", ANTHROPIC_CALLS, ids=["value", "key", "id", "deep"])
def test_any_call_of_anthropic_can_be_written(block: bytes) -> None:
    events = events_of(AnthropicReader(), anthropic(block))
    assert isinstance(events[-1], Reply)
    assert _can_be_written(events)


@pytest.mark.parametrize(
    ("reader", "document"),
    [
        (
            AnthropicReader,
            anthropic(
                b'{"type":"thinking","thinking":"' + HALF + b'"}', b'{"type":"text","text":"a"}'
            ),
        ),
        (GeminiReader, gemini(b'{"thought":true,"text":"' + HALF + b'"},{"text":"a"}')),
        (OpenAIReader, openai(b'{"reasoning_content":"' + HALF + b'","content":"a"}')),
    ],
)
def test_half_a_character_of_reasoning_is_replaced(
    reader: type[AnthropicReader | GeminiReader | OpenAIReader], document: bytes
) -> None:
    events = events_of(reader(), document)
    assert ReasoningDelta("\ufffd") in events
    assert not _can_be_written(events)


@pytest.mark.parametrize(
    "part",
    [
        b'{"text":"a","thoughtSignature":"' + HALF + b'"}',
        b'{"functionCall":{"name":"f","args":' + nested(1000) + b"}}",
    ],
    ids=["signature", "very deep"],
)
def test_what_cannot_be_kept_is_unreadable(part: bytes) -> None:
    with pytest.raises((UnreadableAnswer, orjson.JSONDecodeError)):
        events_of(GeminiReader(), gemini(part))

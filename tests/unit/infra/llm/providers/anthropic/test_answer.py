"""Anthropic's answers."""

from typing import Any

import orjson
import pytest

from domain.entities.items import ProviderMetadata, ToolCall
from domain.entities.reply import (
    CALL_PROGRESS,
    AnswerEvent,
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Reply,
    Usage,
)
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMUnavailable,
)
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.transport.errors.mapping import TranslateErrors
from infra.llm.transport.stream_decoder import ReceivedAnswer
from tests.fakes.anthropic import delta, ending, error_body, event, message, start, stop
from tests.fakes.received import events_of

TEXT = {"type": "text", "text": ""}
THINKING = {"type": "thinking", "thinking": "", "signature": ""}
STARTED = event({"type": "message_start", "message": message((), None, Usage(input_tokens=3))})


def call(call_id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "x", "input": {}, **more}


def read(*chunks: bytes, may_call: bool = True) -> list[AnswerEvent]:
    """Read an answer to its end."""
    answer = ReceivedAnswer("p", AnthropicReader("f"), {}, max_bytes=1 << 20, may_call=may_call)
    received = [answer.take(chunk) for chunk in (*chunks, b"") if not answer.is_over]
    with TranslateErrors("p"):
        return events_of(*received, answer.end(lambda usage: usage))


def reply_of(*chunks: bytes) -> Reply:
    reply = read(*chunks)[-1]
    assert isinstance(reply, Reply)
    return reply


def said(text: str, index: int = 0) -> list[bytes]:
    return [start(index, TEXT), delta(index, type="text_delta", text=text), stop(index)]


def called(*parts: str, index: int = 0, call_id: str = "toolu_1") -> list[bytes]:
    deltas = [delta(index, type="input_json_delta", partial_json=part) for part in parts]
    return [start(index, call(call_id)), *deltas, stop(index)]


def metadata(**value: str) -> MetadataReceived:
    own = ProviderMetadata(kind="anthropic", family="f", value=orjson.dumps(value).decode())
    return MetadataReceived(metadata=own, is_reasoning=True)


def test_thinking_text_and_calls_come_in_order() -> None:
    chunks = [
        STARTED,
        start(0, THINKING),
        event({"type": "ping"}),
        delta(0, type="thinking_delta", thinking="Let me "),
        delta(0, type="thinking_delta", thinking="see."),
        delta(0, type="signature_delta", signature="c2ln+/=="),
        stop(0),
        start(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
        stop(1),
        *said("Well.", 2),
        *called('{"ci', 'ty":"Paris"}', index=3),
        *called("", index=4, call_id="toolu_2"),
        *ending("tool_use"),
    ]
    *events, reply = read(*chunks)
    assert events == [
        ReasoningDelta("Let me see."),
        metadata(signature="c2ln+/=="),
        metadata(data="ZGF0YQ=="),
        "Well.",
        ToolCall(id="toolu_1", name="x", arguments='{"city":"Paris"}'),
        ToolCall(id="toolu_2", name="x", arguments="{}"),
    ]
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.TOOL_CALLS


def test_a_message_that_is_not_streamed_has_the_same_events() -> None:
    content = [
        THINKING | {"thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Well."},
        call(input={"city": "Paris"}),
        call("toolu_2"),
    ]
    usage = Usage(input_tokens=3, output_tokens=4)
    body = orjson.dumps(message(content, "tool_use", usage))
    assert read(body[:20], body[20:]) == [
        ReasoningDelta("Hm."),
        metadata(signature="c2ln"),
        metadata(data="ZGF0YQ=="),
        "Well.",
        ToolCall(id="toolu_1", name="x", arguments='{"city":"Paris"}'),
        ToolCall(id="toolu_2", name="x", arguments="{}"),
        Reply(
            finish_reason=FinishReason.TOOL_CALLS,
            usage=Usage(input_tokens=3, output_tokens=4, total_tokens=7),
        ),
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP),
        ("tool_use", FinishReason.STOP),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("pause_turn", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("a_new_one", FinishReason.STOP),
    ],
)
def test_stop_reasons(word: str, expected: FinishReason) -> None:
    assert reply_of(STARTED, *said("Hi"), *ending(word)).finish_reason is expected


def test_an_unknown_reason_without_the_end_of_the_message_is_a_failure() -> None:
    with pytest.raises(LLMUnavailable):
        read(STARTED, *said("Hi"), ending("a_new_one")[0])


def test_a_refusal_without_content_is_a_block() -> None:
    with pytest.raises(ContentBlocked):
        read(STARTED, *ending("refusal"))


def test_a_message_that_does_not_end_broke_off() -> None:
    with pytest.raises(LLMUnavailable) as raised:
        read(STARTED, *said("Hi"))
    assert raised.value.connection_broke


@pytest.mark.parametrize(("word", "calls"), [("max_tokens", 0), ("refusal", 0), ("tool_use", 1)])
@pytest.mark.parametrize("parts", [("",), ('{"a":',), ()])
def test_the_stop_reason_shows_whether_a_call_was_cut(
    word: str, calls: int, parts: tuple[str, ...]
) -> None:
    events = read(STARTED, *said("Hi"), *called(*parts, index=1), *ending(word))
    found = [each for each in events if isinstance(each, ToolCall)]
    assert len(found) == calls
    assert all(each.arguments == ("".join(parts) or "{}") for each in found)


def test_calls_stay_in_order_after_one_that_is_held_back() -> None:
    chunks = [*called("", index=0), *called('{"a":1}', index=1, call_id="toolu_2")]
    ids = [e.id for e in read(STARTED, *chunks, *ending("tool_use")) if isinstance(e, ToolCall)]
    assert ids == ["toolu_1", "toolu_2"]


def test_a_call_without_the_end_of_its_block_is_complete_with_the_message() -> None:
    events = read(STARTED, *called('{"a":1}')[:-1], *ending("tool_use"))
    assert events[0] == ToolCall(id="toolu_1", name="x", arguments='{"a":1}')


def test_a_call_without_an_id_gets_one() -> None:
    block = {"type": "tool_use", "name": "x", "input": '{"a":1}'}
    events = read(STARTED, start(0, block), stop(0), *ending("tool_use"))
    assert isinstance(events[0], ToolCall)
    assert events[0].id.startswith("call_")


def test_a_call_being_written_is_progress_and_a_ping_is_none() -> None:
    answer = ReceivedAnswer("p", AnthropicReader(), {}, max_bytes=1000, may_call=True)
    answer.take(STARTED + event({"type": "ping"}))
    assert answer.progress is None
    answer.take(start(0, call()))
    assert answer.progress == CALL_PROGRESS
    answer.take(delta(0, type="input_json_delta", partial_json='{"a"'))
    assert answer.progress == CALL_PROGRESS
    answer.take(event({"type": "ping"}))
    assert answer.progress is None


def test_counts_of_the_end_correct_those_of_the_start() -> None:
    begun = message((), None, None)
    begun["usage"] = {
        "input_tokens": 43,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60},
        "cache_read_input_tokens": 1000,
        "output_tokens": 1,
    }
    chunks = [event({"type": "message_start", "message": begun}), *said("Hi")]
    first = ReceivedAnswer("p", reader := AnthropicReader(), {}, max_bytes=1000)
    first.take(b"".join(chunks))
    assert reader.usage() == Usage(
        input_tokens=1143,
        output_tokens=1,
        total_tokens=1144,
        cached_input_tokens=1000,
        cache_write_tokens=100,
        hour_cache_write_tokens=60,
    )
    counts = {
        "input_tokens": 61,
        "cache_creation_input_tokens": None,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 7},
    }
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": counts}
    assert reply_of(*chunks, event(end)).usage == Usage(
        input_tokens=1161,
        output_tokens=20,
        reasoning_tokens=7,
        total_tokens=1181,
        cached_input_tokens=1000,
        cache_write_tokens=100,
        hour_cache_write_tokens=60,
    )


def test_a_start_that_comes_twice_is_one() -> None:
    assert read(STARTED, STARTED, *said("Hi"), *ending("end_turn"))[0] == "Hi"
    assert read(STARTED, *said("Hi"), STARTED, *ending("end_turn"))[0] == "Hi"


def test_another_message_within_a_message_is_a_failure() -> None:
    other = message((), None, None) | {"id": "msg_other"}
    spliced = event({"type": "message_start", "message": other})
    with pytest.raises(LLMUnavailable):
        read(STARTED, *said("Hi"), spliced, *said("Hi"), *ending("end_turn"))


@pytest.mark.parametrize(
    ("status", "text", "kind", "expected"),
    [
        (529, "Overloaded", "", LLMUnavailable),
        (500, "Internal server error", "", LLMUnavailable),
        (504, "Timed out", "", LLMUnavailable),
        (429, "This request would exceed your rate limit", "", LLMRateLimited),
        (400, "prompt is too long: 200001 tokens > 200000 maximum", "", ContextTooLong),
        (400, "Output blocked by content filtering policy", "", ContentBlocked),
        (400, "messages: roles must alternate", "", LLMRejected),
        (401, "invalid x-api-key", "", LLMMisconfigured),
        (403, "not allowed", "", LLMMisconfigured),
        (404, "model: x", "", LLMMisconfigured),
        (413, "Request exceeds the maximum size", "", LLMRejected),
        (418, "?", "a_new_error", LLMUnavailable),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_an_error_in_the_stream(
    status: int, text: str, kind: str, expected: type[LLMError], is_named: bool
) -> None:
    body = error_body(status, text, kind)
    failed = event(body) if is_named else b"data: " + orjson.dumps(body) + b"\n\n"
    with pytest.raises(LLMError) as raised:
        read(STARTED, failed)
    assert type(raised.value) is expected


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"type": 1},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 1}},
        {"type": "content_block_delta", "index": [], "delta": {"type": "input_json_delta"}},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "signature_delta"}},
        {"type": "content_block_start", "index": {}, "content_block": TEXT},
        {"type": "content_block_start", "index": 0, "content_block": "text"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}},
        {"type": "content_block_start", "index": 9, "content_block": call()},
        {"type": "message_delta", "delta": {"stop_reason": 1}},
        {"type": "message", "content": None},
        {"type": "message_start"},
    ],
)
def test_a_wrong_shape_is_a_failure(document: Any) -> None:
    chunk = b"data: " + orjson.dumps(document) + b"\n\n"
    with pytest.raises(LLMUnavailable):
        read(STARTED, start(9, call()), chunk, *ending("end_turn"))


@pytest.mark.parametrize(
    "document",
    [
        {"type": "a_new_event"},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "server_tool_use"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta"}},
        {"type": "content_block_stop", "index": 7},
    ],
)
def test_what_is_unknown_is_ignored(document: Any) -> None:
    events = read(STARTED, *said("Hi"), event(document), *ending("end_turn"))
    assert events[0] == "Hi"
    assert len(events) == 2


def test_a_call_although_no_tools_were_offered_is_a_failure() -> None:
    with pytest.raises(LLMUnavailable):
        read(STARTED, *called('{"a":1}'), *ending("tool_use"), may_call=False)

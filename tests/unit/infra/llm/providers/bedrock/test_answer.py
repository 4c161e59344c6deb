"""Amazon Bedrock's answers."""

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
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.transport.errors.mapping import TranslateErrors
from infra.llm.transport.stream_decoder import ReceivedAnswer
from infra.selftest.event_stream import event, exception, frame
from tests.fakes.bedrock import call_start, delta, ending, stop
from tests.fakes.received import events_of

STARTED = event("messageStart", {"role": "assistant"})


def read(*chunks: bytes, may_call: bool = True, **options: Any) -> list[AnswerEvent]:
    """Read an answer to its end."""
    reader = BedrockReader("f", **options)
    answer = ReceivedAnswer("p", reader, {}, max_bytes=1 << 20, may_call=may_call)
    received = [answer.take(chunk) for chunk in (*chunks, b"") if not answer.is_over]
    with TranslateErrors("p"):
        return events_of(*received, answer.end(lambda usage: usage))


def reply_of(*chunks: bytes) -> Reply:
    reply = read(*chunks)[-1]
    assert isinstance(reply, Reply)
    return reply


def called(*parts: str, index: int = 0, call_id: str = "tooluse_1") -> list[bytes]:
    deltas = [delta(index, toolUse={"input": part}) for part in parts]
    return [call_start(index, "x", call_id), *deltas, stop(index)]


def metadata(**value: str) -> MetadataReceived:
    own = ProviderMetadata(kind="bedrock", family="f", value=orjson.dumps(value).decode())
    return MetadataReceived(metadata=own, is_reasoning=True)


def test_reasoning_text_and_calls_come_in_order() -> None:
    chunks = [
        STARTED,
        delta(0, reasoningContent={"text": "Let me "}),
        delta(0, reasoningContent={"text": "see."}),
        delta(0, reasoningContent={"signature": "c2ln"}),
        delta(0, reasoningContent={"signature": "+/=="}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "ZGF0YQ=="}),
        stop(1),
        delta(2, text="Well."),
        stop(2),
        *called('{"ci', 'ty":"Paris"}', index=3),
        *called("", index=4, call_id="tooluse_2"),
        *ending("tool_use"),
    ]
    *events, reply = read(*chunks)
    assert events == [
        ReasoningDelta("Let me see."),
        metadata(signature="c2ln+/=="),
        metadata(data="ZGF0YQ=="),
        "Well.",
        ToolCall(id="tooluse_1", name="x", arguments='{"city":"Paris"}'),
        ToolCall(id="tooluse_2", name="x", arguments="{}"),
    ]
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.TOOL_CALLS


def test_an_answer_that_is_not_streamed_has_the_same_events() -> None:
    signed = {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}
    content = [
        {"reasoningContent": signed},
        {"reasoningContent": {"redactedContent": "ZGF0YQ=="}},
        {"text": "Well."},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "x", "input": {"city": "Paris"}}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "x", "input": {}}},
    ]
    body = orjson.dumps(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        }
    )
    assert read(body[:1], body[1:20], body[20:]) == [
        ReasoningDelta("Hm."),
        metadata(signature="c2ln"),
        metadata(data="ZGF0YQ=="),
        "Well.",
        ToolCall(id="tooluse_1", name="x", arguments='{"city":"Paris"}'),
        ToolCall(id="tooluse_2", name="x", arguments="{}"),
        Reply(
            finish_reason=FinishReason.TOOL_CALLS,
            usage=Usage(input_tokens=3, output_tokens=4, total_tokens=7),
        ),
    ]


def test_reasoning_without_a_signature_has_no_metadata() -> None:
    chunks = [delta(0, reasoningContent={"text": "Hm."}), stop(0), delta(1, text="Well.")]
    assert read(*chunks, *ending("end_turn"))[:-1] == [ReasoningDelta("Hm."), "Well."]


def test_encrypted_reasoning_in_parts_is_joined() -> None:
    parts = [delta(0, reasoningContent={"redactedContent": part}) for part in ("ZGF0", "YQ==")]
    events = read(*parts, stop(0), delta(1, text="Well."), *ending("end_turn"))
    assert events[0] == metadata(data="ZGF0YQ==")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("tool_use", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
    ],
)
def test_stop_reasons(word: str, expected: FinishReason) -> None:
    assert reply_of(STARTED, delta(0, text="Hi"), *ending(word)).finish_reason is expected


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use", "a_new_one"])
def test_stop_reasons_that_are_failures(word: str) -> None:
    with pytest.raises(LLMUnavailable):
        read(STARTED, delta(0, text="Hi"), *ending(word))


@pytest.mark.parametrize("word", ["guardrail_intervened", "content_filtered"])
def test_a_guardrail_without_text_blocks(word: str) -> None:
    with pytest.raises(ContentBlocked):
        read(STARTED, *ending(word))


def test_cached_tokens_are_a_part_of_the_input() -> None:
    counts = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 115,
        "cacheReadInputTokens": 70,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}],
    }
    chunks = [delta(0, text="Hi"), *ending("end_turn"), event("metadata", {"usage": counts})]
    assert reply_of(*chunks).usage == Usage(
        input_tokens=110,
        output_tokens=5,
        total_tokens=115,
        cached_input_tokens=70,
        cache_write_tokens=30,
        hour_cache_write_tokens=20,
    )


def test_counts_before_the_stop_reason_count_too() -> None:
    counts = event("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}})
    usage = reply_of(delta(0, text="Hi"), counts, *ending("end_turn")).usage
    assert usage == Usage(input_tokens=1, output_tokens=2, total_tokens=3)


@pytest.mark.parametrize("word", ["max_tokens", "guardrail_intervened"])
def test_a_call_that_was_cut_is_none(word: str) -> None:
    cut = called('{"city":"Pa')
    for chunks in (cut, cut[:-1]):
        *events, reply = read(STARTED, delta(9, text="Hi"), *chunks, *ending(word))
        assert events == ["Hi"]
        assert isinstance(reply, Reply)
        assert reply.finish_reason is not FinishReason.TOOL_CALLS


def test_arguments_that_are_no_json_go_out_as_they_came() -> None:
    events = read(STARTED, *called('{"city":'), *ending("tool_use"))
    assert events[0] == ToolCall(id="tooluse_1", name="x", arguments='{"city":')


def test_calls_get_the_names_that_the_caller_gave_the_tools() -> None:
    (call, _) = read(*called("{}"), *ending("tool_use"), names={"x": "files.read"})
    assert isinstance(call, ToolCall)
    assert call.name == "files.read"


def test_a_call_without_offered_tools_is_no_answer() -> None:
    with pytest.raises(LLMUnavailable):
        read(*called("{}"), *ending("tool_use"), may_call=False)


def test_a_call_in_progress_shows_life() -> None:
    answer = ReceivedAnswer("p", BedrockReader(), {}, max_bytes=1 << 20, may_call=True)
    assert answer.take(call_start(0, "x", "tooluse_1")) in ("", [], ())
    assert answer.progress is CALL_PROGRESS


@pytest.mark.parametrize(
    ("kind", "message", "expected", "status"),
    [
        ("throttlingException", "Too many tokens, please wait", LLMRateLimited, 429),
        ("serviceUnavailableException", "busy", LLMUnavailable, 503),
        ("internalServerException", "oops", LLMUnavailable, 500),
        ("modelStreamErrorException", "The model ended abruptly", LLMUnavailable, 424),
        ("validationException", "wrong", LLMRejected, 400),
        ("validationException", "Input is too long for requested model.", ContextTooLong, 400),
        ("accessDeniedException", "no", LLMMisconfigured, 403),
        ("somethingNewException", "no", LLMUnavailable, 200),
    ],
)
@pytest.mark.parametrize("texts", [[], ["Hi"]])
def test_an_exception_in_the_stream_is_an_error_of_the_domain(
    kind: str, message: str, expected: type[LLMError], status: int, texts: list[str]
) -> None:
    chunks = [STARTED, *[delta(0, text=text) for text in texts], exception(kind, message)]
    with pytest.raises(LLMError) as raised:
        read(*chunks)
    assert type(raised.value) is expected
    assert raised.value.http_status == status
    assert message not in str(raised.value)


def test_an_error_message_of_the_stream_is_an_error_too() -> None:
    headers = {":message-type": "error", ":error-code": "ThrottlingException"}
    with pytest.raises(LLMRateLimited):
        read(STARTED, frame(headers, b""))


def test_unknown_events_and_deltas_are_ignored() -> None:
    chunks = [
        event("somethingNew", {"a": 1}),
        event("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}),
        delta(0, image={"source": {}}),
        stop(0),
        delta(1, citation={"title": "x"}),
        delta(1, text="Hi"),
    ]
    assert read(*chunks, *ending("end_turn"))[0] == "Hi"


@pytest.mark.parametrize(
    "chunk",
    [
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": 1}}),
        event("contentBlockDelta", {"contentBlockIndex": [], "delta": {"toolUse": {}}}),
        event("contentBlockDelta", [1]),
        delta(0, toolUse={"input": "{}"}),
        call_start(0, "", "a"),
        call_start(0, "x", "a") + call_start(0, "x", "b"),
        call_start(0, "x", "a") + delta(0, reasoningContent={"signature": "a"}),
        event("messageStop", {"stopReason": 1}),
        orjson.dumps({"output": {"message": {}}}),
        event("contentBlockDelta", b'{"a":'),
    ],
)
def test_events_of_a_wrong_shape_are_unreadable(chunk: bytes) -> None:
    with pytest.raises(LLMUnavailable):
        read(chunk, *([] if chunk.startswith(b"{") else ending("end_turn")))

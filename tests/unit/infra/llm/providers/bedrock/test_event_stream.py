"""AWS's event streams, whole and damaged."""

import struct
import zlib
from collections.abc import Iterator

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer

from domain.entities.items import ToolCall
from domain.entities.reply import AnswerEvent, FinishReason, Reply
from domain.exceptions import LLMError, LLMUnavailable
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.providers.bedrock.event_stream import EventStreamDecoder
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.errors.mapping import TranslateErrors
from infra.llm.transport.stream_decoder import ReceivedAnswer
from infra.selftest.event_stream import event
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import Calls, Says
from tests.fakes.http_provider import Seen
from tests.fakes.received import events_of
from tests.fakes.recordings import recordings

SCRIPT = Says(
    ["Well. ", Calls("x", '{"city":"Paris"}', id="a", in_fragments=True), Calls("y", "{}", id="b")],
    finish=FinishReason.TOOL_CALLS,
)
STEPS = [
    step
    for step in FakeBedrock().render(SCRIPT, Seen("", {}, {}, {}, "/converse-stream")).steps
    if isinstance(step, bytes)
]
BODY = b"".join(STEPS)
END_OF_THE_ANSWER = len(BODY) - len(STEPS[-1])
"""Where the stop reason has come; the counts follow."""


def read(*chunks: bytes) -> tuple[list[AnswerEvent], LLMError | None]:
    answer = ReceivedAnswer("p", BedrockReader(), {}, max_bytes=1 << 20, may_call=True)
    received = [answer.take(chunk) for chunk in (*chunks, b"") if not answer.is_over]
    try:
        with TranslateErrors("p"):
            return events_of(*received, answer.end(lambda usage: usage)), None
    except LLMError as error:
        return events_of(*received), error


def calls_in(events: list[AnswerEvent]) -> list[tuple[str, str]]:
    return [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]


WHOLE = [("x", '{"city":"Paris"}'), ("y", "{}")]


def test_the_frames_are_those_of_the_driver() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event("messageStop", {"stopReason": "end_turn"}))
    (message,) = buffer
    assert message.headers == {
        ":event-type": "messageStop",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert orjson.loads(message.payload) == {"stopReason": "end_turn"}


def test_a_stream_that_is_cut_at_any_byte_gives_out_no_part_of_a_call() -> None:
    for cut in range(len(BODY)):
        events, error = read(BODY[:cut])
        calls = calls_in(events)
        assert calls == WHOLE[: len(calls)]
        if cut < END_OF_THE_ANSWER:
            assert isinstance(error, LLMUnavailable)
            assert error.connection_broke
        else:
            assert error is None
            assert calls == WHOLE
            assert isinstance(events[-1], Reply)


def test_a_stream_with_any_byte_changed_is_an_error_and_gives_out_no_part_of_a_call() -> None:
    for place in range(len(BODY)):
        damaged = BODY[:place] + bytes([BODY[place] ^ 0x55]) + BODY[place + 1 :]
        events, error = read(damaged)
        calls = calls_in(events)
        assert calls == WHOLE[: len(calls)]
        assert isinstance(error, LLMUnavailable), place


def test_a_recording_that_is_cut_at_any_byte_gives_out_no_part_of_a_call() -> None:
    found = [each for each in recordings("bedrock") if each.name == "bedrock_stream_tool_use_0"]
    for recording in found:
        body = recording.body
        for cut in range(len(body)):
            events, error = read(body[:cut])
            assert calls_in(events) in ([], [("get_temperature", '{"city":"Paris"}')])
            assert error is None or isinstance(error, LLMUnavailable)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_size_of_the_chunks_makes_no_difference(size: int) -> None:
    chunks = [BODY[at : at + size] for at in range(0, len(BODY), size)]
    assert read(*chunks) == read(BODY)


def _with_lengths(total: int, headers: int) -> bytes:
    prelude = struct.pack(">II", total, headers)
    return prelude + struct.pack(">I", zlib.crc32(prelude))


@pytest.mark.parametrize("total", [2**31 + 2**30, 30 * 1024 * 1024, 16])
def test_lengths_out_of_range_are_refused_at_once(total: int) -> None:
    decoder = EventStreamDecoder(1000)
    with pytest.raises(UnreadableAnswer):
        _drain(decoder.feed(_with_lengths(total, 2**20)))


def test_a_message_that_grows_too_long_is_refused_while_it_comes() -> None:
    decoder = EventStreamDecoder(1000)
    long = event("contentBlockDelta", {"delta": {"text": "a" * 5000}})
    _drain(decoder.feed(long[:900]))
    with pytest.raises(UnreadableAnswer):
        _drain(decoder.feed(long[900:2000]))


@pytest.mark.parametrize("body", [b"<html></html>", b"data: {}\n\n", b"\x00" * 64])
def test_another_kind_of_body_is_unreadable(body: bytes) -> None:
    events, error = read(body)
    assert events == []
    assert isinstance(error, LLMUnavailable)


def _drain(events: Iterator[bytes]) -> None:
    for _ in events:
        pass

"""Bytes, cut anywhere, become events."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.sse_decoder import EventDecoder

LIMIT_BYTES = 1000


def events_of(*chunks: bytes, limit_bytes: int = LIMIT_BYTES) -> list[bytes]:
    decoder = EventDecoder(limit_bytes)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.end()]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'data: {"a":1}\n\ndata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}']),
        (b'data: {"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'data:{"a":1}\n\n', [b'{"a":1}']),
        (b'data: {\ndata: "a":1}\n\n', [b'{\n"a":1}']),
        (b": OPENROUTER PROCESSING\n\n: again\n\ndata: 1\n\n", [b"1"]),
        (b"event: message\nid: 7\nretry: 100\ndata: 1\n\n", [b"1"]),
        (b"data: 1\n\ndata: [DONE]\n\n", [b"1", b"[DONE]"]),
        (b"\n\n\n", []),
        (b"", []),
        (b'data: {"a":1}\r\rdata: {"b":2}\r\r', [b'{"a":1}', b'{"b":2}']),
        (b'data: {"a":1}\r\rdata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}']),
        (b"\xef\xbb\xbfdata: 1\n\n", [b"1"]),
        (b'\xef\xbb\xbf{"a":1}', [b'{"a":1}']),
        (b"data: 1\n\ndata:\n\ndata: \n\ndata\n\ndata: 2\n\n", [b"1", b"2"]),
        (b"data:\ndata: 1\ndata:\n\n", [b"1"]),
        (b"id: 1\n\nretry: 2\n\nevent: ping\n\ndata: 1\n\n", [b"1"]),
        (b"foo: bar\nx-y\ndata: 1\n<b>\n\n", [b"1"]),
        (b"data: 1\n\n[DONE]\n", [b"1", b"[DONE]"]),
        (b"data: 1\n\n[DONE]", [b"1", b"[DONE]"]),
        (b'data: 1\n{"error":2}', [b"1", b'{"error":2}']),
    ],
    ids=[
        "lf",
        "crlf",
        "no blank",
        "two lines",
        "comments",
        "other fields",
        "done",
        "blank",
        "none",
        "cr",
        "cr and lf",
        "byte order mark",
        "byte order mark before json",
        "events without data",
        "empty lines of data",
        "frames of other fields",
        "unknown fields",
        "bare done",
        "bare done at the end",
        "bare json within an event",
    ],
)
def test_a_body_is_split_into_the_data_of_its_events(body: bytes, events: list[bytes]) -> None:
    assert events_of(body) == events


KEEP_ALIVES = (
    ": ping\n",
    ":\n\n",
    "data:\n\n",
    "data: \n\n",
    "id: 7\nretry: 9\n\n",
    "event: message\n",
    "foo: bar\nping\n",
    "\n",
)
ENDINGS = ("\n", "\r\n", "\r")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

keep_alives = st.lists(st.sampled_from(KEEP_ALIVES), max_size=3).map("".join)
endings = st.sampled_from(ENDINGS)


@pytest.mark.slow
@pytest.mark.seen("A1")
@settings(deadline=None, max_examples=300)
@given(data=st.data(), has_mark=st.booleans())
def test_neither_cuts_nor_line_ends_nor_what_lies_between_make_a_difference(
    data: st.DataObject, has_mark: bool
) -> None:
    events = ['{"text":"é世"}', '{"b":2}', "[DONE]", '{"last":1}']
    body = BYTE_ORDER_MARK if has_mark else b""
    for event in events:
        between = data.draw(keep_alives)
        body += f"{between}data: {event}\n\n".replace("\n", data.draw(endings)).encode()
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=30))
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges) if start < end]
    assert events_of(*chunks) == [event.encode() for event in events]


def test_an_event_of_a_server_that_ends_lines_in_cr_does_not_wait_for_the_next() -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    assert list(decoder.feed(b"data: 1\r\r")) == [b"1"]
    assert list(decoder.feed(b"data: 2\r")) == []
    assert list(decoder.feed(b"\ndata: 3\r\n\r\n")) == [b"2\n3"]


@pytest.mark.seen("A2")
@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (b'error: {"message":"x"}\n', {"message": "x"}),
        (b'error:{"error":{"code":429}}\r', {"error": {"code": 429}}),
        (b"error: overloaded\n", {"error": "overloaded"}),
        (b'event: error\ndata: {"message":"x"}\n\n', {"message": "x"}),
        (b"event: error\ndata: overloaded\n\n", {"error": "overloaded"}),
    ],
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_an_error_in_the_framing_is_told_after_what_came_before(
    lines: bytes, error: object, is_whole: bool
) -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    chunks = [b"data: 1\n\n" + lines + b"data: 2\n\n"]
    if not is_whole:
        chunks = [bytes([byte]) for byte in chunks[0]]
    events = (event for chunk in chunks for event in decoder.feed(chunk))
    assert next(events) == b"1"
    with pytest.raises(ErrorInAnswer) as raised:
        next(events)
    assert raised.value.body == error


@pytest.mark.parametrize(
    "last", [b'error: {"a":1}', b'event: error\ndata: {"a":1}', b'event: error\ndata: {"a":1}\n']
)
def test_an_error_at_the_very_end_is_told(last: bytes) -> None:
    with pytest.raises(ErrorInAnswer) as raised:
        events_of(b"data: 1\n\n" + last)
    assert raised.value.body == {"a": 1}


@pytest.mark.parametrize("last", [b"event: error\n\n", b"event: error\ndata:\n\n", b"error:\n"])
def test_an_error_that_says_nothing_is_none(last: bytes) -> None:
    assert events_of(last + b"data: 1\n\n") == [b"1"]


@pytest.mark.parametrize(
    ("last", "event"),
    [(b'data: {"a":1}', b'{"a":1}'), (b"data: [DONE]", b"[DONE]"), (b"data: 1\n", b"1")],
)
def test_a_last_event_needs_no_blank_line(last: bytes, event: bytes) -> None:
    assert events_of(b"data: 0\n\n" + last) == [b"0", event]


@pytest.mark.parametrize("last", [b'data: {"a":', b"data: [DO", b"dat", b"data:", b'data: {"a":\n'])
def test_an_event_that_was_cut_in_two_is_none(last: bytes) -> None:
    assert events_of(b"data: 0\n\n" + last) == [b"0"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[]}',
        b'{"choices":[]}\n',
        b' \r\n {\n "error": {\n\n  "code": 503\n }\n}\n',
        b'[{"error":{}}]',
    ],
)
def test_a_body_of_json_is_one_event(body: bytes) -> None:
    (event,) = events_of(body)
    assert event.strip() == body.strip()
    assert [e.strip() for e in events_of(*(bytes([byte]) for byte in body))] == [body.strip()]


def test_an_error_in_bare_json_amid_events_is_an_event() -> None:
    body = b'data: {"a":1}\n\n{\n  "error": {\n    "code": 503\n  }\n}\n'
    first, second = events_of(body)
    assert first == b'{"a":1}'
    assert second.strip() == b'{\n  "error": {\n    "code": 503\n  }\n}'


@pytest.mark.parametrize(
    "body", [b"<html>\n<p a: b>\n</html>", b"foo: bar\n", b"\xff\xfed\x00\na\n"]
)
def test_a_body_without_anything_of_events_or_json_is_foreign(body: bytes) -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    assert not list(decoder.feed(body))
    assert decoder.is_foreign
    assert list(decoder.feed(b"data: 1\n\n" if body.endswith(b"\n") else b"\ndata: 1\n\n")) == [
        b"1"
    ]
    assert not decoder.is_foreign


@pytest.mark.parametrize(
    "chunk", [b"x", b"data: y\n", b"data:\n", b'{"a":', b"data: " + b"z" * 99 + b"\n"]
)
def test_an_event_without_end_is_refused_before_it_fills_the_memory(chunk: bytes) -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    with pytest.raises(UnreadableAnswer):
        for _ in range(LIMIT_BYTES + 1):
            assert not list(decoder.feed(chunk))


def test_many_short_events_in_one_read_are_not_too_long() -> None:
    assert len(events_of(b"data: 1\n\n" * LIMIT_BYTES)) == LIMIT_BYTES


def test_lines_that_are_ignored_after_an_event_in_the_first_read_are_not_foreign() -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    assert list(decoder.feed(b"data: 1\n\n")) == [b"1"]
    assert list(decoder.feed(b"<b>\n")) == []
    assert not decoder.is_foreign


def test_a_byte_order_mark_is_removed_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert events_of(mark + b"data: 1\n\n", b"data: 2\n\n") == [b"1", b"2"]
    assert events_of(b"data: 1\n\n", mark + b"data: 2\n\n") == [b"1"]

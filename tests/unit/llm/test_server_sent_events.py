"""Bytes, cut anywhere, become events."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm.answer_reader import UnreadableAnswer
from infra.llm.server_sent_events import EventDecoder

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
    ],
)
def test_a_body_is_split_into_the_data_of_its_events(body: bytes, events: list[bytes]) -> None:
    assert events_of(body) == events


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=30))
def test_where_the_network_cuts_makes_no_difference(cuts: Sequence[int]) -> None:
    body = (
        ': comment\n\ndata: {"text":"é世"}\r\n\r\nevent: x\ndata: {\ndata: "b":2}\n\n'
        'data: [DONE]\n\ndata: {"last":1}'
    ).encode()
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    assert events_of(*chunks) == events_of(body)
    assert len(events_of(body)) == 4


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


@pytest.mark.parametrize("line", [b"error: overloaded", b"<html>", b"datum: 1", b"\xff\xfed\x00"])
def test_a_line_of_no_known_kind_is_refused_after_what_came_before(line: bytes) -> None:
    decoder = EventDecoder(LIMIT_BYTES)
    events = decoder.feed(b"data: 1\n\n" + line + b"\ndata: 2\n\n")
    assert next(events) == b"1"
    with pytest.raises(UnreadableAnswer):
        next(events)


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

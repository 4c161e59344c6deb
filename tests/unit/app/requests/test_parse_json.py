"""Bodies: what is taken and what is refused, held against the standard library's own pass."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.problems.request_body_error import RequestBodyError
from app.requests.json_body import parse_json

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text(
    st.sampled_from('\\"\n:{}[],u0'), max_size=8
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_texts, inner), max_size=3),
    max_leaves=12,
)


def written(value: Any, spell: Any) -> str:
    """Return JSON in which a list of pairs is an object, so that its keys may be repeated."""
    if isinstance(value, str):
        return str(spell(value))
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        pairs = (f"{written(key, spell)} : {written(one, spell)}" for key, one in value)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, spell) for one in value) + "]"
    return json.dumps(value)


def escaped(text: str) -> str:
    """Spell every character as its number, in which no quote and no backslash shows."""
    return '"' + "".join(f"\\u{unit:04x}" for unit in _units(text)) + '"'


def _units(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def repeats_a_key(body: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) != len(pairs)

    json.loads(body, object_pairs_hook=look)
    return found


@given(
    _values,
    st.sampled_from([json.dumps, lambda it: json.dumps(it, ensure_ascii=False), escaped]),
)
def test_a_body_is_refused_if_and_only_if_a_key_is_repeated(value: Any, spell: Any) -> None:
    body = written(value, spell).encode()
    if repeats_a_key(body):
        with pytest.raises(RequestBodyError):
            parse_json(body, 32)
    else:
        assert parse_json(body, 32) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a\\"":1,"a\\"":2}',
        b'{"a\\\\":1,"a\\\\":2}',
        b'[{"b":{"a":"x","a":"y"}}]',
        b'{"":0,"":0}',
    ],
)
def test_a_repeated_key_is_refused_however_it_is_spelled(body: bytes) -> None:
    with pytest.raises(RequestBodyError):
        parse_json(body, 32)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded_exactly(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "1" + closing * levels).encode()

    parse_json(nested(32), 32)
    for levels in (33, 200, 5000):
        with pytest.raises(RequestBodyError):
            parse_json(nested(levels), 32)


def test_a_text_of_backslashes_takes_no_more_memory_than_another() -> None:
    def peak_bytes(content: bytes) -> int:
        tracemalloc.start()
        try:
            parse_json(b'{"text":"' + content + b'"}', 64)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    plain = b"xx" * 500_000 + rb"\""
    escaped_backslashes = rb"\\" * 500_000 + rb"\""
    assert peak_bytes(escaped_backslashes) < 1.2 * peak_bytes(plain)

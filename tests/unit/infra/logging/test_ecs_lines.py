"""Every record becomes one line of valid JSON in ECS's words, whatever was logged."""

import json
import logging
import math
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.logging.ecs import EcsFormatter


def line_of(message: object, *args: object, **extra: object) -> str:
    """Return what the formatter makes of one record."""
    record = logging.getLogger("app.chat").makeRecord(
        "app.chat", logging.INFO, "f.py", 1, message, args, None, None, extra
    )
    record.created, record.msecs = 1795341600.123, 123.0
    formatter = EcsFormatter(service_name="rt-genai", version="1.2.3", environment="production")
    return formatter.format(record)


def fields_of(message: object, *args: object, **extra: object) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(line_of(message, *args, **extra))
    return fields


def test_a_line_says_when_who_what_and_in_which_service() -> None:
    assert fields_of("took %d steps", 3) == {
        "@timestamp": "2026-11-22T10:00:00.123Z",
        "log": {"level": "info", "logger": "app.chat"},
        "message": "took 3 steps",
        "ecs": {"version": "8.11.0"},
        "service": {"name": "rt-genai", "version": "1.2.3", "environment": "production"},
    }


def test_the_time_moves_on_between_lines() -> None:
    formatter = EcsFormatter(service_name="s", version="1", environment="e")
    record = logging.makeLogRecord({"msg": "x"})
    stamps = []
    for record.created, record.msecs in ((0.0, 0.0), (0.9, 900.0), (1.0, 0.0), (86400.0, 7.0)):
        stamps.append(json.loads(formatter.format(record))["@timestamp"][8:])
    assert stamps == [
        "01T00:00:00.000Z",
        "01T00:00:00.900Z",
        "01T00:00:01.000Z",
        "02T00:00:00.007Z",
    ]


def test_nested_fields_are_added() -> None:
    fields = fields_of("done", ecs={"http": {"response": {"status_code": 200}}})
    assert fields["http"]["response"]["status_code"] == 200


def test_added_fields_do_not_replace_those_every_line_has() -> None:
    fields = fields_of("done", ecs={"message": "other", "service": {"name": "x"}, "log": 1, "a": 2})
    assert fields["message"] == "done"
    assert fields["service"]["name"] == "rt-genai"
    assert fields["log"] == {"level": "info", "logger": "app.chat"}
    assert fields["a"] == 2


def test_extras_that_are_not_nested_fields_are_left_out() -> None:
    assert "color_message" not in fields_of(
        "started", color_message="\x1b[1mstarted", ecs="no dict"
    )


def test_arguments_that_do_not_fit_still_leave_a_line() -> None:
    assert "TypeError" in fields_of("%d steps", "three")["message"]


def test_a_very_long_message_is_cut() -> None:
    assert len(fields_of("x" * 1_000_000)["message"]) < 10_000


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e"]
)
def test_control_characters_are_escaped_and_kept(character: str) -> None:
    line = line_of(f"a{character}b", ecs={"url": {"path": character}})
    assert character not in line
    assert json.loads(line)["message"] == f"a{character}b"
    assert json.loads(line)["url"]["path"] == character


@dataclass
class Question:
    text: str = "private"


@pytest.mark.parametrize("value", [Question(), Path("private"), {1: Question()}, [b"private"]])
def test_what_is_not_plain_data_is_named_not_shown(value: object) -> None:
    line = line_of("x", ecs={"rt": {"value": value}})
    assert "private" not in line
    assert f"<{type(value).__name__}>" in line or "<Question>" in line or "<bytes>" in line


def test_a_field_that_holds_itself_still_leaves_a_line() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert fields_of("x", ecs={"loop": loop})["message"] == "x"


def test_huge_and_odd_numbers_still_leave_a_line() -> None:
    fields = fields_of("x", ecs={"a": 10**30, "b": math.nan, "c": -math.inf})
    assert fields["a"] == str(10**30)
    assert fields["b"] is None
    assert fields["c"] is None


def test_half_a_character_still_leaves_a_line() -> None:
    fields = fields_of("half \udc80 of it", ecs={"url": {"path": "\ud800"}, "\udfff": 1})
    assert fields["message"] == "half \\udc80 of it"


_TEXTS = st.text(st.characters(exclude_categories=()))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS | st.integers(), inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(message=_TEXTS, fields=st.dictionaries(_TEXTS, _VALUES))
def test_whatever_is_logged_is_one_line_of_json(message: str, fields: dict[str, object]) -> None:
    line = line_of(message, ecs=fields)
    assert isinstance(json.loads(line), dict)
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Zl", "Zp"}]
    line.encode()


def test_a_failure_is_told_by_type_and_place() -> None:
    try:
        int("private")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    record.ecs = {"error": {"message": "not this one"}}
    formatter = EcsFormatter(service_name="s", version="1", environment="e")
    error = json.loads(formatter.format(record))["error"]
    assert error["type"] == "ValueError"
    assert "test_a_failure_is_told_by_type_and_place" in error["stack_trace"]
    assert "message" not in error

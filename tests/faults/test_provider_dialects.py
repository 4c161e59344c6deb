"""Servers that speak a dialect: what they mean is understood, through every door, plain and streamed."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from infra.selftest.fault import FIRST_TEXT, TEXTS, WHOLE_TEXT
from tests.faults.dialects import (
    BLOCK_WORDS,
    DEEP_BODIES,
    LONG_TEXT,
    OTHERS,
    STOP_WORDS,
    WHOLE,
    complete,
    stage_of_dialects,
)
from tests.faults.pace import SCALED
from tests.faults.routes import WIRES, behind
from tests.faults.stage import Stage

LINES = {
    "heartbeats-without-data": "A1",
    "unknown-fields": "A1",
    "byte-order-mark": "A1",
    "lines-end-in-cr": "A1",
    **dict.fromkeys([f"ends-in-{word}" for word in STOP_WORDS], "A4"),
    "ends-in-STOP": "A3",
    "whole-message-after-deltas": "A5",
    "content-in-parts": "A6",
    "early-reason-then-text": "A8",
    "deep-in-a-field": "A14",
    "gzip": "A15",
    "gzip-event-by-event": "A15",
    "deflate": "A15",
    "deflate-raw": "A15",
}
PATIENT = replace(SCALED, idle_seconds=6.0, request_timeout_seconds=12.0, stream_total_seconds=11.0)


def of_line(names: dict[str, str]) -> list[object]:
    return [
        pytest.param(name, marks=pytest.mark.seen(line), id=name) for name, line in names.items()
    ]


@pytest.fixture(scope="module")
def dialects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_of_dialects(tmp_path_factory.mktemp("dialects"), {**WHOLE, **OTHERS}) as stage:
        yield stage


def test_every_dialect_is_tried() -> None:
    assert set(LINES) == set(WHOLE)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", of_line(LINES))
def test_an_answer_in_an_odd_form_is_told_once_and_whole(
    dialects: Stage, dialect: str, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert told.outcomes == [(wire, "ok")]
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)
    assert (told.kept["status"], told.kept["finishReason"]) == ("completed", "stop")
    done = complete(dialects, f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, WHOLE_TEXT, "stop")


@pytest.mark.seen("A2")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["error-field", "error-event"])
def test_an_error_in_the_framing_is_the_error_it_is(
    dialects: Stage, dialect: str, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)
    assert told.outcomes[0] == (wire, "unavailable")
    assert told.attempts[0]["httpStatus"] == 503
    assert told.outcomes[-1] == (behind(wire), "ok")
    assert complete(dialects, f"{wire}-{dialect}", is_streamed=is_streamed).code is not None


@pytest.mark.seen("A2")
@pytest.mark.parametrize("wire", WIRES)
def test_an_error_in_the_framing_after_some_words_ends_a_stream(dialects: Stage, wire: str) -> None:
    told = dialects.ask(f"{wire}-error-field-mid-stream-safe", is_streamed=True)
    assert (told.slug, told.text) == ("providers-failed", FIRST_TEXT)
    assert told.attempts[0]["httpStatus"] == 503
    told = dialects.ask(f"{wire}-error-field-mid-stream-safe")
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A3")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("word", [*BLOCK_WORDS, "refusal"])
def test_a_block_in_any_words_is_never_routed_around(
    dialects: Stage, word: str, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-blocks-in-{word}-safe", is_streamed=is_streamed)
    assert (told.status, told.slug) == (422, "content-blocked")
    assert told.outcomes == [(wire, "blocked")]
    done = complete(dialects, f"{wire}-blocks-in-{word}-safe", is_streamed=is_streamed)
    assert (done.status, done.code) == (400, "content_filter")


@pytest.mark.seen("A3")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "word", ["MAX_TOKENS", "max_tokens", "Length", "model_length", "incomplete"]
)
def test_an_answer_that_grew_too_long_says_so_in_any_words(
    dialects: Stage, word: str, wire: str
) -> None:
    told = dialects.ask(f"{wire}-cut-in-{word}-safe")
    assert told.outcomes == [(wire, "ok")]
    assert (told.text, told.kept["finishReason"]) == (WHOLE_TEXT, "length")


@pytest.mark.seen("A4")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("word", ["error", "NETWORK_ERROR", "Malformed_Something"])
def test_a_word_for_a_failure_is_one(dialects: Stage, word: str, wire: str) -> None:
    told = dialects.ask(f"{wire}-fails-in-{word}-safe")
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)
    assert told.outcomes == [(wire, "unavailable"), (behind(wire), "ok")]


@pytest.mark.seen("A4")
def test_an_unknown_word_is_an_end_where_done_says_that_all_came(dialects: Stage) -> None:
    told = dialects.ask("alt-ends-in-a-word-of-2030-safe")
    assert told.outcomes == [("alt", "ok")]
    assert told.kept["finishReason"] == "stop"
    told = dialects.ask("gem-ends-in-a-word-of-2030-safe")
    assert told.outcomes == [("gem", "unavailable"), ("alt", "ok")]


@pytest.mark.seen("A7")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["refusal", "refusal-in-a-document"])
def test_a_refusal_is_a_block_with_a_text_and_nobody_else_is_asked(
    dialects: Stage, dialect: str, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert told.outcomes == [(wire, "blocked")]
    assert (told.status, told.text, told.is_done) == (200, WHOLE_TEXT, True)
    assert (told.kept["status"], told.kept["finishReason"]) == ("blocked", "content_filter")
    done = complete(dialects, f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, WHOLE_TEXT, "content_filter")


@pytest.mark.seen("A7")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_refusal_that_breaks_off_stays_one(dialects: Stage, wire: str, is_streamed: bool) -> None:
    told = dialects.ask(f"{wire}-refusal-that-breaks-safe", is_streamed=is_streamed)
    assert told.outcomes == [(wire, "blocked")]
    assert told.kept["status"] == "blocked"


@pytest.mark.seen("A8")
def test_text_after_an_early_reason_and_a_pause_is_not_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = "early-reason-then-a-pause-of-3s"
    folder = tmp_path_factory.mktemp("patient")
    with stage_of_dialects(folder, {name: OTHERS[name]}, PATIENT) as stage:
        asks = [
            partial(stage.ask, f"{wire}-{name}-safe", is_streamed=is_streamed)
            for wire in WIRES
            for is_streamed in (False, True)
        ]
        for told in stage.ask_at_once(*asks):
            assert (told.is_done, told.text) == (True, WHOLE_TEXT)
            assert len(told.attempts) == 1


@pytest.mark.seen("A8")
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_with_a_reason_is_whole_although_the_line_stays_open(
    dialects: Stage, wire: str
) -> None:
    asks = [
        partial(dialects.ask, f"{wire}-reason-and-an-open-line-safe", is_streamed=is_streamed)
        for is_streamed in (False, True)
    ]
    for told in dialects.ask_at_once(*asks):
        assert told.outcomes == [(wire, "ok")]
        assert (told.is_done, told.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A9")
def test_a_model_that_thinks_between_its_words_is_not_cut_off(dialects: Stage) -> None:
    asks = [
        partial(dialects.ask, f"{wire}-thinks-between", is_streamed=is_streamed)
        for wire in WIRES
        for is_streamed in (False, True)
    ]
    for told in dialects.ask_at_once(*asks):
        assert (told.is_done, told.text) == (True, WHOLE_TEXT)
        assert [outcome for _, outcome in told.outcomes] == ["ok"]


@pytest.mark.seen("A9")
def test_comments_between_its_words_are_no_life(dialects: Stage) -> None:
    asks = [partial(dialects.ask, f"{wire}-pings-between", is_streamed=True) for wire in WIRES]
    for told in dialects.ask_at_once(*asks):
        assert (told.slug, told.text) == ("provider-timeout", FIRST_TEXT)


@pytest.mark.seen("A9")
def test_a_thought_is_no_first_word(dialects: Stage) -> None:
    for told in dialects.ask_at_once(
        *[partial(dialects.ask, f"{wire}-thinks-for-ever-safe") for wire in WIRES]
    ):
        assert [outcome for _, outcome in told.outcomes] == ["timeout", "ok"]
        assert (told.is_done, told.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A10")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_halves_of_a_character_join_and_a_lone_one_is_marked(
    dialects: Stage, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-halves-of-a-character-safe", is_streamed=is_streamed)
    assert (told.is_done, told.text) == (True, LONG_TEXT)
    assert told.outcomes == [(wire, "ok")]
    done = complete(dialects, f"{wire}-half-a-character-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, "a\ufffdb", "stop")


@pytest.mark.seen("A11")
@pytest.mark.seen("A12")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_thoughts_outside_the_output_and_cached_input_are_counted(
    dialects: Stage, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-reasoning-outside-output-safe", is_streamed=is_streamed)
    usage = told.kept["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (10, 60)
    assert (usage["reasoningTokens"], usage["totalTokens"]) == (40, 70)
    done = complete(dialects, f"{wire}-reasoning-outside-output-safe", is_streamed=is_streamed)
    assert done.usage is not None
    assert done.usage["completion_tokens"] == 60
    assert done.usage["prompt_tokens_details"]["cached_tokens"] == 6


@pytest.mark.seen("A12")
@pytest.mark.parametrize("wire", WIRES)
def test_numbers_out_of_any_range_are_none(dialects: Stage, wire: str) -> None:
    told = dialects.ask(f"{wire}-usage-out-of-range-safe")
    assert told.outcomes == [(wire, "ok")]
    assert set(told.kept["usage"].values()) == {None}


@pytest.mark.seen("A14")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", [*DEEP_BODIES, "deep-refusal"])
def test_a_body_nested_deep_is_a_fault_of_the_provider(
    dialects: Stage, dialect: str, wire: str, is_streamed: bool
) -> None:
    told = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)
    assert told.outcomes[0] == (wire, "unavailable")
    assert told.outcomes[-1] == (behind(wire), "ok")


@pytest.mark.seen("A15")
@pytest.mark.parametrize("wire", WIRES)
def test_a_compressed_refusal_is_understood(dialects: Stage, wire: str) -> None:
    told = dialects.ask(f"{wire}-gzip-refusal-safe")
    assert (told.status, told.slug) == (422, "context-too-long")
    assert len(told.calls) == 1


@pytest.mark.seen("A15")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["brotli", "not-gzip", "web-page"])
def test_a_body_in_no_known_form_is_a_failure(dialects: Stage, dialect: str, wire: str) -> None:
    told = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=True)
    assert told.outcomes == [(wire, "unavailable"), (behind(wire), "ok")]
    assert told.text == "".join(TEXTS)

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
from tests.faults.fault_scenario import FaultScenario
from tests.faults.pace import SCALED
from tests.faults.routes import WIRES, behind

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
def dialects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    with stage_of_dialects(tmp_path_factory.mktemp("dialects"), {**WHOLE, **OTHERS}) as scenario:
        yield scenario


def test_every_dialect_is_tried() -> None:
    assert set(LINES) == set(WHOLE)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", of_line(LINES))
def test_an_answer_in_an_odd_form_is_told_once_and_whole(
    dialects: FaultScenario, dialect: str, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert result.outcomes == [(wire, "ok")]
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert (result.kept["status"], result.kept["finishReason"]) == ("completed", "stop")
    done = complete(dialects, f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, WHOLE_TEXT, "stop")


@pytest.mark.seen("A2")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["error-field", "error-event"])
def test_an_error_in_the_framing_is_the_error_it_is(
    dialects: FaultScenario, dialect: str, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert result.outcomes[0] == (wire, "unavailable")
    assert result.attempts[0]["httpStatus"] == 503
    assert result.outcomes[-1] == (behind(wire), "ok")
    assert complete(dialects, f"{wire}-{dialect}", is_streamed=is_streamed).code is not None


@pytest.mark.seen("A2")
@pytest.mark.parametrize("wire", WIRES)
def test_an_error_in_the_framing_after_some_words_ends_a_stream(
    dialects: FaultScenario, wire: str
) -> None:
    result = dialects.ask(f"{wire}-error-field-mid-stream-safe", is_streamed=True)
    assert (result.slug, result.text) == ("providers-failed", FIRST_TEXT)
    assert result.attempts[0]["httpStatus"] == 503
    result = dialects.ask(f"{wire}-error-field-mid-stream-safe")
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A3")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("word", [*BLOCK_WORDS, "refusal"])
def test_a_block_in_any_words_is_never_routed_around(
    dialects: FaultScenario, word: str, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-blocks-in-{word}-safe", is_streamed=is_streamed)
    assert (result.status, result.slug) == (422, "content-blocked")
    assert result.outcomes == [(wire, "blocked")]
    done = complete(dialects, f"{wire}-blocks-in-{word}-safe", is_streamed=is_streamed)
    assert (done.status, done.code) == (400, "content_filter")


@pytest.mark.seen("A3")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "word", ["MAX_TOKENS", "max_tokens", "Length", "model_length", "incomplete"]
)
def test_an_answer_that_grew_too_long_says_so_in_any_words(
    dialects: FaultScenario, word: str, wire: str
) -> None:
    result = dialects.ask(f"{wire}-cut-in-{word}-safe")
    assert result.outcomes == [(wire, "ok")]
    assert (result.text, result.kept["finishReason"]) == (WHOLE_TEXT, "length")


@pytest.mark.seen("A4")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("word", ["error", "NETWORK_ERROR", "Malformed_Something"])
def test_a_word_for_a_failure_is_one(dialects: FaultScenario, word: str, wire: str) -> None:
    result = dialects.ask(f"{wire}-fails-in-{word}-safe")
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert result.outcomes == [(wire, "unavailable"), (behind(wire), "ok")]


@pytest.mark.seen("A4")
def test_an_unknown_word_is_an_end_where_done_says_that_all_came(dialects: FaultScenario) -> None:
    result = dialects.ask("alt-ends-in-a-word-of-2030-safe")
    assert result.outcomes == [("alt", "ok")]
    assert result.kept["finishReason"] == "stop"
    result = dialects.ask("gem-ends-in-a-word-of-2030-safe")
    assert result.outcomes == [("gem", "unavailable"), ("alt", "ok")]


@pytest.mark.seen("A7")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["refusal", "refusal-in-a-document"])
def test_a_refusal_is_a_block_with_a_text_and_nobody_else_is_asked(
    dialects: FaultScenario, dialect: str, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert result.outcomes == [(wire, "blocked")]
    assert (result.status, result.text, result.is_done) == (200, WHOLE_TEXT, True)
    assert (result.kept["status"], result.kept["finishReason"]) == ("blocked", "content_filter")
    done = complete(dialects, f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, WHOLE_TEXT, "content_filter")


@pytest.mark.seen("A7")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_refusal_that_breaks_off_stays_one(
    dialects: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-refusal-that-breaks-safe", is_streamed=is_streamed)
    assert result.outcomes == [(wire, "blocked")]
    assert result.kept["status"] == "blocked"


@pytest.mark.seen("A8")
def test_text_after_an_early_reason_and_a_pause_is_not_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = "early-reason-then-a-pause-of-3s"
    folder = tmp_path_factory.mktemp("patient")
    with stage_of_dialects(folder, {name: OTHERS[name]}, PATIENT) as scenario:
        asks = [
            partial(scenario.ask, f"{wire}-{name}-safe", is_streamed=is_streamed)
            for wire in WIRES
            for is_streamed in (False, True)
        ]
        for result in scenario.ask_at_once(*asks):
            assert (result.is_done, result.text) == (True, WHOLE_TEXT)
            assert len(result.attempts) == 1


@pytest.mark.seen("A8")
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_with_a_reason_is_whole_although_the_line_stays_open(
    dialects: FaultScenario, wire: str
) -> None:
    asks = [
        partial(dialects.ask, f"{wire}-reason-and-an-open-line-safe", is_streamed=is_streamed)
        for is_streamed in (False, True)
    ]
    for result in dialects.ask_at_once(*asks):
        assert result.outcomes == [(wire, "ok")]
        assert (result.is_done, result.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A9")
def test_a_model_that_thinks_between_its_words_is_not_cut_off(dialects: FaultScenario) -> None:
    asks = [
        partial(dialects.ask, f"{wire}-thinks-between", is_streamed=is_streamed)
        for wire in WIRES
        for is_streamed in (False, True)
    ]
    for result in dialects.ask_at_once(*asks):
        assert (result.is_done, result.text) == (True, WHOLE_TEXT)
        assert [outcome for _, outcome in result.outcomes] == ["ok"]


@pytest.mark.seen("A9")
def test_comments_between_its_words_are_no_life(dialects: FaultScenario) -> None:
    asks = [partial(dialects.ask, f"{wire}-pings-between", is_streamed=True) for wire in WIRES]
    for result in dialects.ask_at_once(*asks):
        assert (result.slug, result.text) == ("provider-timeout", FIRST_TEXT)


@pytest.mark.seen("A9")
def test_a_thought_is_no_first_word(dialects: FaultScenario) -> None:
    for result in dialects.ask_at_once(
        *[partial(dialects.ask, f"{wire}-thinks-for-ever-safe") for wire in WIRES]
    ):
        assert [outcome for _, outcome in result.outcomes] == ["timeout", "ok"]
        assert (result.is_done, result.text) == (True, WHOLE_TEXT)


@pytest.mark.seen("A10")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_halves_of_a_character_join_and_a_lone_one_is_marked(
    dialects: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-halves-of-a-character-safe", is_streamed=is_streamed)
    assert (result.is_done, result.text) == (True, LONG_TEXT)
    assert result.outcomes == [(wire, "ok")]
    done = complete(dialects, f"{wire}-half-a-character-safe", is_streamed=is_streamed)
    assert (done.status, done.text, done.finish_reason) == (200, "a\ufffdb", "stop")


@pytest.mark.seen("A11")
@pytest.mark.seen("A12")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_thoughts_outside_the_output_and_cached_input_are_counted(
    dialects: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-reasoning-outside-output-safe", is_streamed=is_streamed)
    usage = result.kept["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (10, 60)
    assert (usage["reasoningTokens"], usage["totalTokens"]) == (40, 70)
    done = complete(dialects, f"{wire}-reasoning-outside-output-safe", is_streamed=is_streamed)
    assert done.usage is not None
    assert done.usage["completion_tokens"] == 60
    assert done.usage["prompt_tokens_details"]["cached_tokens"] == 6


@pytest.mark.seen("A12")
@pytest.mark.parametrize("wire", WIRES)
def test_numbers_out_of_any_range_are_none(dialects: FaultScenario, wire: str) -> None:
    result = dialects.ask(f"{wire}-usage-out-of-range-safe")
    assert result.outcomes == [(wire, "ok")]
    assert set(result.kept["usage"].values()) == {None}


@pytest.mark.seen("A14")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", [*DEEP_BODIES, "deep-refusal"])
def test_a_body_nested_deep_is_a_fault_of_the_provider(
    dialects: FaultScenario, dialect: str, wire: str, is_streamed: bool
) -> None:
    result = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=is_streamed)
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert result.outcomes[0] == (wire, "unavailable")
    assert result.outcomes[-1] == (behind(wire), "ok")


@pytest.mark.seen("A15")
@pytest.mark.parametrize("wire", WIRES)
def test_a_compressed_refusal_is_understood(dialects: FaultScenario, wire: str) -> None:
    result = dialects.ask(f"{wire}-gzip-refusal-safe")
    assert (result.status, result.slug) == (422, "context-too-long")
    assert len(result.calls) == 1


@pytest.mark.seen("A15")
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("dialect", ["brotli", "not-gzip", "web-page"])
def test_a_body_in_no_known_form_is_a_failure(
    dialects: FaultScenario, dialect: str, wire: str
) -> None:
    result = dialects.ask(f"{wire}-{dialect}-safe", is_streamed=True)
    assert result.outcomes == [(wire, "unavailable"), (behind(wire), "ok")]
    assert result.text == "".join(TEXTS)

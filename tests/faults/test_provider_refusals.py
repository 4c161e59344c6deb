"""Providers that refuse: for a while, for a fault of theirs, or because of what was asked."""

from collections.abc import Callable
from functools import partial

import pytest

from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT
from tests.faults.fault_scenario import FaultScenario
from tests.faults.routes import WIRES, behind

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

AT_ONCE_SECONDS = 2.5
SHORT_PAUSES = {
    "rate-limited-once-1s": 1.0,
    "rate-limited-once-1.2s": 1.2,
    "rate-limited-once-until-1s": 1.0,
}
"""For how many seconds."""


def test_a_short_pause_is_kept_and_the_same_provider_answers_if_nobody_else_may(
    scaled_scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    asked = [(wire, fault) for wire in WIRES for fault in SHORT_PAUSES]
    asks = [partial(scaled_scenario.ask, f"{wire}-{fault}") for wire, fault in asked]
    for (wire, fault), result in zip(asked, scaled_scenario.ask_at_once(*asks), strict=True):
        (gap_seconds,) = result.gaps_seconds
        figure(f"{fault}, {wire}: asked again after {gap_seconds:.2f} s")
        assert result.outcomes == [(wire, "rate_limited"), (wire, "ok")]
        assert gap_seconds >= SHORT_PAUSES[fault]


@pytest.mark.seen("B15")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", SHORT_PAUSES)
def test_a_short_pause_goes_to_the_fallback_if_there_is_one(
    scaled_scenario: FaultScenario, fault: str, wire: str, is_streamed: bool
) -> None:
    result = scaled_scenario.ask(f"{wire}-{fault}-safe", is_streamed=is_streamed)
    assert result.outcomes[-1] == (behind(wire), "ok")
    assert len(result.calls) <= 2
    assert result.seconds < SHORT_PAUSES[fault]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "fault",
    [
        "rate-limited-30s",
        "rate-limited-once-45.837906927s",
        "rate-limited-once-1000000000s",
        "rate-limited-once-until-30s",
    ],
)
def test_a_long_pause_goes_to_the_fallback_and_the_route_is_spared(
    scaled_scenario: FaultScenario, fault: str, wire: str, figure: Callable[[str], None]
) -> None:
    model = f"{wire}-{fault}-safe"
    result = scaled_scenario.ask(model)
    figure(f"{fault}, {wire}: the fallback answered after {result.seconds:.2f} s")
    assert result.outcomes == [(wire, "rate_limited"), (behind(wire), "ok")]
    assert result.seconds <= AT_ONCE_SECONDS
    assert scaled_scenario.degraded()[model] == "cooling"
    assert 20 <= scaled_scenario.metrics("rt_route_closed_seconds")[model, wire] <= 60
    assert scaled_scenario.ask(model).outcomes == [(behind(wire), "ok")]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "fault", ["rate-limited-once", "rate-limited-once--1s", "rate-limited-once-1e9s"]
)
def test_a_pause_that_makes_no_sense_is_one_of_a_second(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    model = f"{wire}-{fault}-safe"
    assert scaled_scenario.ask(model).outcomes == [(wire, "rate_limited"), (behind(wire), "ok")]
    alone = scaled_scenario.ask(f"{wire}-{fault}")
    assert alone.outcomes == [(wire, "rate_limited"), (wire, "ok")]
    assert 1.0 <= alone.gaps_seconds[0] <= 2.0
    assert model not in scaled_scenario.degraded()


@pytest.mark.parametrize("wire", WIRES)
def test_with_nobody_behind_it_a_rate_limit_is_told(
    scaled_scenario: FaultScenario, wire: str
) -> None:
    model = f"{wire}-rate-limited-30s"
    for calls in (1, 0):  # the second time nobody is asked, for the route cools
        result = scaled_scenario.ask(model)
        assert (result.status, result.slug) == (503, "providers-unavailable")
        assert 20 <= (result.retry_after_seconds or 0) <= 30
        assert len(result.calls) == calls
    result = scaled_scenario.ask(f"{wire}-rate-limited")
    assert (result.status, result.slug) == (503, "providers-unavailable")
    assert (result.retry_after_seconds, len(result.calls)) == (2, 2)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_fault_that_passes_is_tried_again_and_one_that_stays_is_left(
    scenario: FaultScenario, status: int, wire: str, figure: Callable[[str], None]
) -> None:
    once = scenario.ask(f"{wire}-{status}-once-safe")
    assert once.outcomes == [(wire, "unavailable"), (wire, "ok")]
    always = scenario.ask(f"{wire}-{status}-safe")
    assert always.outcomes == [(wire, "unavailable")] * 2 + [(behind(wire), "ok")]
    figure(f"{status} always, {wire}, {scenario.pace}: answered after {always.seconds:.2f} s")
    assert always.seconds <= AT_ONCE_SECONDS
    assert [one["httpStatus"] for one in always.attempts] == [status, status, 200]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_a_safety_block_is_never_routed_around(
    scaled_scenario: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = scaled_scenario.ask(f"{wire}-blocked-safe", is_streamed=is_streamed)
    assert (result.status, result.slug) == (422, "content-blocked")
    assert result.outcomes == [(wire, "blocked")]
    assert (result.kept["status"], result.kept["response"]) == ("blocked", "")


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_a_block_after_some_words_keeps_them(
    scaled_scenario: FaultScenario, wire: str, is_streamed: bool
) -> None:
    result = scaled_scenario.ask(f"{wire}-blocked-mid-stream-safe", is_streamed=is_streamed)
    assert (result.is_done, result.text) == (True, FIRST_TEXT)
    assert result.outcomes == [(wire, "blocked")]
    assert (result.kept["status"], result.kept["finishReason"]) == ("blocked", "content_filter")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["400", "413", "422", "context-too-long"])
def test_the_callers_fault_is_told_after_one_call(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    result = scaled_scenario.ask(f"{wire}-{fault}-safe")
    slug = "provider-rejected" if fault.isdigit() else fault
    assert (result.status, result.slug) == (422, slug)
    assert len(result.calls) == 1
    assert result.kept["status"] == "failed"


@pytest.mark.parametrize("wire", WIRES)
def test_a_redirect_is_not_followed(scaled_scenario: FaultScenario, wire: str) -> None:
    result = scaled_scenario.ask(f"{wire}-redirect-safe")
    assert result.text == WHOLE_TEXT
    assert result.outcomes[0] == (wire, "unavailable")
    assert result.outcomes[-1] == (behind(wire), "ok")

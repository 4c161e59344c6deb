"""Connections that break and streams that are damaged: nothing hangs, nothing broken passes for whole."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT
from tests.faults.fault_scenario import WHOLE_ANSWERS, ChatResult, FaultScenario
from tests.faults.routes import WIRES, behind

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

AT_ONCE = 16
RESETS = {"scaled": 10, "shipped": 300}
WAYS = [(way, is_streamed) for way in ("safe", "standby") for is_streamed in (False, True)]

BEFORE_THE_FIRST_WORD = [
    "cut-before-text",
    "reset-after-head",
    "malformed-first-chunk",
    "error-in-200",
    "empty",
]
AFTER_IT = [
    "cut",
    "cut-chunk",
    "reset-mid-stream",
    "malformed-chunk",
    "error-mid-stream",
    "no-finish-reason",
]
WHOLE_ALL_THE_SAME = ["no-done", "comments", "single-bytes", "carriage-returns"]


@pytest.mark.parametrize("fault", ["reset", "reset-after-head", "reset-mid-stream"])
def test_every_reset_is_answered_or_told(
    scenario: FaultScenario, fault: str, figure: Callable[[str], None]
) -> None:
    count = RESETS[str(scenario.pace)]

    def ask(number: int) -> ChatResult:
        way, is_streamed = WAYS[number // 2 % len(WAYS)]
        return scenario.ask(f"{WIRES[number % 2]}-{fault}-{way}", is_streamed=is_streamed)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        result = list(pool.map(ask, range(2 * count)))
    became: Counter[str] = Counter()
    for number, one in enumerate(result):
        way, is_streamed = WAYS[number // 2 % len(WAYS)]
        if fault == "reset-mid-stream" and is_streamed:
            assert (one.slug, one.text) == ("providers-failed", FIRST_TEXT)
            became["told in the stream"] += 1
        elif way == "safe":
            assert (one.is_done, one.text) == (True, WHOLE_TEXT)
            became["answered"] += 1
        else:
            assert (one.status, one.slug) == (502, "providers-failed")
            became["502"] += 1
    figure(f"{fault}, {scenario.pace}: {len(result)} asked, {dict(became)}")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_WORD)
def test_damage_before_the_first_word_is_made_good_by_the_fallback(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    for is_streamed in (False, True):
        result = scaled_scenario.ask(f"{wire}-{fault}-safe", is_streamed=is_streamed)
        assert (result.is_done, result.text) == (True, WHOLE_TEXT)
        assert result.outcomes[0] == (wire, "unavailable")
        assert result.outcomes[-1] == (behind(wire), "ok")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", AFTER_IT)
def test_damage_after_it_is_told_in_the_stream(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    result = scaled_scenario.ask(f"{wire}-{fault}-safe", is_streamed=True)
    assert result.slug == "providers-failed"
    assert result.text == (WHOLE_TEXT if fault == "no-finish-reason" else FIRST_TEXT)
    assert result.kept["status"] == "truncated"
    assert result.outcomes == [(wire, "unavailable")]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", AFTER_IT)
def test_damage_after_it_is_made_good_for_who_waits_for_the_whole(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    result = scaled_scenario.ask(f"{wire}-{fault}-safe")
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert result.outcomes[-1] == (behind(wire), "ok")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["cut", "cut-chunk", "reset-mid-stream", "malformed-chunk"])
def test_a_model_that_can_goes_on_where_the_answer_broke(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    result = scaled_scenario.ask(f"{wire}-{fault}-goes-on", is_streamed=True)
    *broken, whole = result.outcomes
    assert (set(broken), whole) == ({(wire, "unavailable")}, (behind(wire), "ok"))
    assert result.text == len(broken) * FIRST_TEXT + WHOLE_TEXT
    assert result.kept["fallbackUsed"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", WHOLE_ALL_THE_SAME)
def test_what_is_odd_but_whole_is_taken(
    scaled_scenario: FaultScenario, fault: str, wire: str
) -> None:
    for is_streamed in (False, True):
        result = scaled_scenario.ask(f"{wire}-{fault}-safe", is_streamed=is_streamed)
        assert result.outcomes == [(wire, "ok")]
        assert result.kept["status"] == "completed"
        assert result.text in WHOLE_ANSWERS

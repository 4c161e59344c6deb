"""Bodies that are no answers, or too much of one: the fallback answers, and memory stays where it was."""

from collections.abc import Callable

import pytest

from infra.selftest.fault import WHOLE_TEXT
from tests.faults.fault_scenario import FaultScenario
from tests.faults.inside import Memory
from tests.faults.routes import WIRES, behind

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

MOST_GROWTH_BYTES = 20_000_000
MOST_ANSWER_BYTES = 1024 * 1024
BAD = [
    "malformed-json",
    "error-document",
    "no-choices",
    "latin-1",
    "utf-16",
    "huge-event",
    "huge-document",
    "huge-refusal",
    "gzip-bomb",
    "gzip-bomb-unnamed",
]


@pytest.fixture(scope="module")
def memory(scaled_scenario: FaultScenario) -> Memory:
    for wire in WIRES:
        for _ in range(10):
            scaled_scenario.ask(f"{wire}-healthy")
    return Memory(scaled_scenario.service)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_body_is_a_failure_and_the_fallback_answers(
    scaled_scenario: FaultScenario,
    memory: Memory,
    fault: str,
    wire: str,
    figure: Callable[[str], None],
) -> None:
    before = memory.now_bytes()
    result = scaled_scenario.ask(f"{wire}-{fault}-safe")
    growth = memory.peak_bytes() - before
    figure(f"{fault}, {wire}: memory grew by {growth / 1e6:.1f} MB at the most")
    assert (result.is_done, result.text) == (True, WHOLE_TEXT)
    assert result.outcomes[0] == (wire, "unavailable")
    assert result.outcomes[-1] == (behind(wire), "ok")
    assert growth <= MOST_GROWTH_BYTES


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_without_end_is_cut_and_says_so(
    scaled_scenario: FaultScenario, memory: Memory, wire: str, figure: Callable[[str], None]
) -> None:
    growths = []
    for is_streamed in (False, True, False, True):
        before = memory.now_bytes()
        result = scaled_scenario.ask(f"{wire}-huge-answer-safe", is_streamed=is_streamed)
        growths.append(memory.peak_bytes() - before)
        assert result.outcomes == [(wire, "ok")]
        assert len(result.text) == MOST_ANSWER_BYTES
        assert (result.kept["status"], result.kept["finishReason"]) == ("truncated", "length")
    in_megabytes = ", ".join(f"{growth / 1e6:.1f}" for growth in growths)
    figure(f"huge-answer, {wire}, four times: memory grew by {in_megabytes} MB at the most")
    # the first of full length makes room for those that follow
    assert max(growths[2:]) <= MOST_GROWTH_BYTES

"""Bodies that are no answers, or too much of one: the fallback answers, and memory stays where it was."""

from collections.abc import Callable

import pytest

from infra.selftest.fault import WHOLE_TEXT
from tests.faults.inside import Memory
from tests.faults.routes import WIRES, behind
from tests.faults.stage import Stage

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
def memory(scaled_stage: Stage) -> Memory:
    for wire in WIRES:
        for _ in range(10):
            scaled_stage.ask(f"{wire}-healthy")
    return Memory(scaled_stage.service)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_body_is_a_failure_and_the_fallback_answers(
    scaled_stage: Stage, memory: Memory, fault: str, wire: str, figure: Callable[[str], None]
) -> None:
    before = memory.now_bytes()
    told = scaled_stage.ask(f"{wire}-{fault}-safe")
    growth = memory.peak_bytes() - before
    figure(f"{fault}, {wire}: memory grew by {growth / 1e6:.1f} MB at the most")
    assert (told.is_done, told.text) == (True, WHOLE_TEXT)
    assert told.outcomes[0] == (wire, "unavailable")
    assert told.outcomes[-1] == (behind(wire), "ok")
    assert growth <= MOST_GROWTH_BYTES


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_without_end_is_cut_and_says_so(
    scaled_stage: Stage, memory: Memory, wire: str, figure: Callable[[str], None]
) -> None:
    growths = []
    for is_streamed in (False, True, False, True):
        before = memory.now_bytes()
        told = scaled_stage.ask(f"{wire}-huge-answer-safe", is_streamed=is_streamed)
        growths.append(memory.peak_bytes() - before)
        assert told.outcomes == [(wire, "ok")]
        assert len(told.text) == MOST_ANSWER_BYTES
        assert (told.kept["status"], told.kept["finishReason"]) == ("truncated", "length")
    in_megabytes = ", ".join(f"{growth / 1e6:.1f}" for growth in growths)
    figure(f"huge-answer, {wire}, four times: memory grew by {in_megabytes} MB at the most")
    # the first of full length makes room for those that follow
    assert max(growths[2:]) <= MOST_GROWTH_BYTES

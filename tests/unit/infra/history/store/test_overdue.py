"""An answer that is in progress for longer than any may take was interrupted."""

from dataclasses import replace

import pytest

from domain.entities.interaction import Interaction, Status
from domain.use_cases.export_history import ExportHistory
from infra.history.store.overdue import OverdueHistory
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

RUNNING = an_interaction(0, status=Status.IN_PROGRESS, text="")
LOST = replace(RUNNING, status=Status.INTERRUPTED)
LATEST_SECONDS = 3900.0


def running(number: int) -> Interaction:
    """Return an answer in progress that was asked for so many milliseconds later."""
    return replace(RUNNING, id=an_id(number))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stored() -> InMemoryHistory:
    return InMemoryHistory()


@pytest.fixture
def history(stored: InMemoryHistory, clock: FakeClock) -> OverdueHistory:
    return OverdueHistory(stored, clock)


async def test_it_is_in_progress_up_to_the_limit_and_interrupted_after_it(
    history: OverdueHistory, clock: FakeClock
) -> None:
    await history.append(RUNNING)
    clock.advance(LATEST_SECONDS)
    assert await history.find("ana", RUNNING.id) == RUNNING
    clock.advance(0.001)
    assert await history.find("ana", RUNNING.id) == LOST
    assert await history.find("ana", an_id(1)) is None


async def test_the_limit_follows_the_time_that_an_answer_may_take(
    stored: InMemoryHistory, clock: FakeClock
) -> None:
    history = OverdueHistory(stored, clock, background_seconds=10.0)
    await history.append(RUNNING)
    clock.advance(310.001)
    assert await history.find("ana", RUNNING.id) == LOST


async def test_filters_go_by_the_status_that_is_shown(
    history: OverdueHistory, clock: FakeClock
) -> None:
    reaped = an_interaction(1, status=Status.INTERRUPTED, text="")
    done = an_interaction(2)
    young = running(3000)
    await history.append_many([RUNNING, reaped, done, young])
    clock.advance(LATEST_SECONDS + 1.0)
    for statuses, expected in (
        ({Status.IN_PROGRESS}, [young]),
        ({Status.INTERRUPTED}, [reaped, LOST]),
        ({Status.IN_PROGRESS, Status.INTERRUPTED}, [young, reaped, LOST]),
        ({Status.COMPLETED}, [done]),
        ({Status.COMPLETED, Status.IN_PROGRESS}, [young, done]),
        ((), [done]),
        (EVERY_STATUS, [young, done, reaped, LOST]),
    ):
        for limit in (1, 100):
            query = asking(statuses=frozenset(statuses), limit=limit)
            assert await walk(history, query) == expected


async def test_exports_show_it(history: OverdueHistory, clock: FakeClock) -> None:
    await history.append_many([RUNNING, an_interaction(1)])
    clock.advance(LATEST_SECONDS + 1.0)
    pages = [page async for page in ExportHistory(history, clock)("ana")]
    assert [found for page in pages for found in page] == [LOST, an_interaction(1)]


async def test_an_outcome_that_comes_after_all_is_shown(
    history: OverdueHistory, stored: InMemoryHistory, clock: FakeClock
) -> None:
    await history.append(RUNNING)
    clock.advance(LATEST_SECONDS + 1.0)
    assert stored.kept == {RUNNING.id: RUNNING}, "nothing is written"
    await history.append(an_interaction(0))
    assert await history.find("ana", RUNNING.id) == an_interaction(0)

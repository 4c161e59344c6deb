"""When something behind the network counts as away, and how it comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.exceptions import HistoryUnavailable
from infra.history.store.reachability import LONGEST_PAUSE_SECONDS, Reachability
from infra.tasks.supervised import running_tasks
from tests.fakes.clock import START_MILLISECONDS, FakeClock


class Watched:
    """Something that answers probes, or does not."""

    def __init__(self) -> None:
        self.clock = FakeClock(sleeping_advances=False)
        self.reachability = Reachability("it", self.probe, self.clock, failures=3)
        self.answers = False
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if not self.answers:
            raise HistoryUnavailable

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.reachability.fail()

    async def pass_seconds(self, seconds: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(seconds)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    async with running_tasks(watched.reachability.watch):
        yield watched


async def test_enough_failures_in_a_row_mean_that_it_is_away(watched: Watched) -> None:
    watched.fail(2)
    watched.reachability.succeed()
    watched.fail(2)
    assert not watched.reachability.is_away
    assert watched.reachability.degraded() == ()
    watched.fail(1)
    assert watched.reachability.is_away


async def test_it_tells_since_when(watched: Watched) -> None:
    watched.fail(3)
    watched.clock.advance(60)
    watched.fail(1)
    (degraded,) = watched.reachability.degraded()

    assert degraded.component == "it"
    assert degraded.since_milliseconds == START_MILLISECONDS


async def test_while_it_answers_it_is_not_probed(watched: Watched) -> None:
    watched.fail(2)
    await watched.pass_seconds(60)

    assert watched.probes == 0


async def test_a_probe_brings_it_back_and_the_next_failure_takes_it_away(watched: Watched) -> None:
    watched.fail(3)
    await watched.pass_seconds(1)
    assert watched.probes == 1
    assert watched.reachability.is_away
    watched.answers = True
    await watched.pass_seconds(2)
    assert not watched.reachability.is_away
    watched.fail(1)
    assert watched.reachability.is_away


async def test_once_it_has_answered_a_call_a_single_failure_is_forgiven_again(
    watched: Watched,
) -> None:
    watched.fail(3)
    watched.answers = True
    await watched.pass_seconds(1)
    watched.reachability.succeed()
    watched.fail(2)

    assert not watched.reachability.is_away


async def test_a_call_that_works_brings_it_back_without_a_probe(watched: Watched) -> None:
    watched.fail(3)
    watched.reachability.succeed()

    assert not watched.reachability.is_away


async def test_it_is_probed_less_and_less_often_but_for_ever(watched: Watched) -> None:
    watched.fail(3)
    for _ in range(30):
        await watched.pass_seconds(1)

    assert 5 <= watched.probes <= 10
    before = watched.probes
    await watched.pass_seconds(LONGEST_PAUSE_SECONDS)
    assert watched.probes == before + 1

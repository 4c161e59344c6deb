"""Logs that an erasure did not reach are removed: of answers that begin, are made, are followed, or have ended."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.entities.background.answer import AnswerKey
from domain.exceptions import HistoryUnreadable, NotFound
from domain.interfaces.tombstones import Tombstones
from domain.use_cases.background import erased_answers
from domain.use_cases.background.erased_answers import ErasedAnswers
from domain.use_cases.background.follow_answer import FollowAnswer
from domain.use_cases.background.read_answer import ReadAnswer
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.read_interaction import ReadInteraction
from tests.fakes.answer_log import InMemoryAnswerLog
from tests.fakes.background_answers import an_answer, until
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

AGAIN_SECONDS = 3.0


class SharedTombstones(Tombstones):
    """The tombstones of all hosts.

    Attributes:
        erased: User and id of each erased interaction.
        asked: The ids of each call.
        is_away: Whether calls fail.
    """

    def __init__(self) -> None:
        self.erased: set[tuple[str, str]] = set()
        self.asked: list[list[str]] = []
        self.is_away = False

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        self.asked.append(sorted(interaction_ids))
        if self.is_away:
            raise HistoryUnreadable
        return frozenset(each for each in interaction_ids if (user_id, each) in self.erased)


class Host:
    """One process, whose log no other host erases."""

    def __init__(self, *, is_log_apart: bool = True) -> None:
        self.clock = FakeClock()
        self.log = InMemoryAnswerLog(self.clock)
        self.tombstones = SharedTombstones()
        self.history = InMemoryHistory()
        self.made: set[AnswerKey] = set()
        self.erased = ErasedAnswers(
            self.log,
            self.tombstones,
            self.clock,
            is_log_apart=is_log_apart,
            again_seconds=AGAIN_SECONDS,
        )
        read_interaction = ReadInteraction(history=self.history, load_contents=LoadContents(None))
        self.read = ReadAnswer(self.log, read_interaction, self.erased)
        self.follow = FollowAnswer(
            self.log,
            read_interaction,
            self.clock,
            made_here=lambda: self.made,
            erased=self.erased,
        )

    async def begin(self, number: int = 0) -> AnswerKey:
        answer = an_answer(number)
        await self.log.begin(answer, lease_seconds=10.0)
        self.erased.answer_begun(answer)
        return answer.key

    def erase(self, number: int = 0) -> None:
        """Erase an answer as another host does."""
        self.tombstones.erased.add(("ana", an_id(number)))

    async def watch(self) -> None:
        await self.erased.watch(lambda: [*self.made, *self.follow.keys])


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.mark.parametrize("is_log_apart", [True, False])
async def test_an_answer_that_was_erased_while_it_began_loses_its_log(is_log_apart: bool) -> None:
    host = Host(is_log_apart=is_log_apart)
    host.erase(1)
    for number in range(3):
        await host.begin(number)
    await host.watch()
    assert [key.interaction_id for key in host.log.logs] == [an_id(0), an_id(2)]
    await host.watch()
    assert host.tombstones.asked == [[an_id(0), an_id(1), an_id(2)]]  # once


async def test_an_answer_that_was_erased_is_not_read_from_its_log(host: Host) -> None:
    await host.begin()
    assert await host.read("ana", an_id()) == an_answer().interaction
    host.erase()
    with pytest.raises(NotFound):
        await host.read("ana", an_id())
    assert not host.log.logs


async def test_an_answer_is_read_to_the_end_of_a_long_log(host: Host) -> None:
    lease = await host.log.begin(an_answer(), lease_seconds=10.0)
    await host.log.append(lease, ["a"] * 2500)
    assert await host.read("ana", an_id()) == an_answer().interaction
    await host.log.end(lease, [an_interaction()])
    assert await host.read("ana", an_id()) == an_interaction()


async def test_an_answer_that_is_made_is_checked_again_and_again(host: Host) -> None:
    key = await host.begin()
    host.made.add(key)
    await host.watch()
    host.erase()
    host.clock.advance(AGAIN_SECONDS)
    await host.watch()
    assert not host.log.logs


async def test_where_all_hosts_share_the_log_an_answer_is_checked_once() -> None:
    host = Host(is_log_apart=False)
    host.made.add(await host.begin())
    for _ in range(3):
        await host.watch()
        host.clock.advance(AGAIN_SECONDS)
    host.erased.answer_ended(an_answer(), an_interaction())
    await host.watch()
    await (await host.follow("ana", an_id())).events.aclose()
    assert len(host.tombstones.asked) == 1


async def test_an_answer_is_checked_when_it_is_taken_over_and_when_it_has_ended(host: Host) -> None:
    await host.begin()
    await host.watch()
    host.erase()
    host.erased.answer_ended(an_answer(), an_interaction())
    await host.watch()
    assert not host.log.logs
    await host.log.begin(an_answer(1), lease_seconds=1.0)
    host.erase(1)
    host.erased.answer_taken_over(an_answer(1))
    await host.watch()
    assert not host.log.logs


async def test_the_log_of_an_erased_answer_is_not_served_but_removed(host: Host) -> None:
    await host.begin()
    host.erase()
    with pytest.raises(NotFound):
        await host.follow("ana", an_id())
    assert not host.log.logs


async def test_readers_end_once_the_answer_is_erased_elsewhere(host: Host) -> None:
    key = await host.begin()
    reading = asyncio.create_task(_read_all(host))
    await until(lambda: host.follow.readers)
    await host.watch()
    host.erase()
    host.clock.advance(AGAIN_SECONDS)
    await host.watch()
    assert await reading == 0
    assert key not in host.log.logs


async def test_readers_of_an_answer_that_is_made_here_do_not_wait_for_the_store(host: Host) -> None:
    host.made.add(await host.begin())
    await (await host.follow("ana", an_id())).events.aclose()
    assert host.tombstones.asked == []


async def test_while_the_store_is_away_logs_are_served_and_checked_later(host: Host) -> None:
    host.tombstones.is_away = True
    await host.begin()
    await host.watch()
    asked = len(host.tombstones.asked)
    for _ in range(3):
        await (await host.follow("ana", an_id())).events.aclose()
        await host.watch()
    assert len(host.tombstones.asked) == asked  # one at a time waits for a store that hangs
    host.erase()
    host.tombstones.is_away = False
    host.clock.advance(AGAIN_SECONDS)
    await host.watch()
    assert not host.log.logs


async def test_a_long_outage_does_not_fill_the_memory(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erased_answers, "MOST_DUE", 2)
    for number in range(3):
        await host.begin(number)
    await host.watch()
    assert [len(ids) for ids in host.tombstones.asked] == [2]


async def _read_all(host: Host) -> int:
    """Return the number of events until the end."""
    followed = await host.follow("ana", an_id())
    return len([event async for event in followed.events])

"""Every reader gets the same events, from any point, at any time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from domain.entities.background.answer import AnswerKey, AnswerLease
from domain.entities.background.log import LogEvent, Restarted
from domain.entities.interaction import Interaction, Status
from domain.entities.reply import ProviderSelected
from domain.exceptions import HistoryDamaged, HistoryUnreadable, NotFound
from domain.use_cases.background import follow_answer
from domain.use_cases.background.follow_answer import EXPIRED, FollowAnswer, NumberedEvent
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.read_interaction import ReadInteraction
from infra.clock import SystemClock
from tests.fakes.answer_log import InMemoryAnswerLog
from tests.fakes.background_answers import SELECTED, an_answer, until
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

Events = AsyncGenerator[NumberedEvent, None]


class Readers:
    """One process of readers, and the writer of ana's answer.

    Attributes:
        reads: Number of pages read of the log.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.writer = InMemoryAnswerLog(self.clock)
        self.log = InMemoryAnswerLog(self.clock, logs=self.writer.logs)
        self.history = InMemoryHistory()
        self.reads = 0
        read = self.log.read

        async def counted_read(key: AnswerKey, **options: int) -> object:
            self.reads += 1
            await asyncio.sleep(0)
            return await read(key, **options)

        self.log.read = counted_read  # type: ignore[assignment, method-assign]
        self.follow = FollowAnswer(
            self.log,
            ReadInteraction(history=self.history, load_contents=LoadContents(None)),
            self.clock,
        )

    async def begin(self) -> AnswerLease:
        answer = an_answer()
        await self.history.append(answer.interaction)
        return await self.writer.begin(answer, lease_seconds=10.0)

    async def events(self, *, after: int = -1) -> Events:
        return (await self.follow("ana", an_id(), after=after)).events

    async def read_all(self, *, after: int = -1) -> list[NumberedEvent]:
        async with aclosing(await self.events(after=after)) as events:
            return [event async for event in events]


def numbered(*events: LogEvent) -> list[NumberedEvent]:
    return [NumberedEvent(number, event) for number, event in enumerate(events)]


@pytest.fixture
def readers() -> Readers:
    return Readers()


async def test_a_complete_answer_is_read_from_any_point_in_any_process(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, [SELECTED, "a", "b"])
    await readers.writer.end(lease, [an_interaction()])
    whole = numbered(SELECTED, "a", "b", an_interaction())
    for after in range(-1, 5):
        assert await readers.read_all(after=after) == whole[after + 1 :]
    assert readers.follow.readers == 0


async def test_a_log_of_many_pages_is_read_whole(readers: Readers) -> None:
    lease = await readers.begin()
    texts = [str(number) for number in range(2_500)]
    await readers.writer.append(lease, texts)
    await readers.writer.end(lease, [an_interaction()])
    assert await readers.read_all() == numbered(*texts, an_interaction())
    assert await readers.read_all(after=2_400) == numbered(*texts, an_interaction())[2_401:]


async def test_readers_before_during_and_after_get_the_same_events(readers: Readers) -> None:
    lease = await readers.begin()
    before = asyncio.create_task(readers.read_all())
    await until(lambda: readers.follow.readers == 1)
    await readers.writer.append(lease, [SELECTED, "a"])
    during = asyncio.create_task(readers.read_all())
    late = asyncio.create_task(readers.read_all(after=1))
    await until(lambda: readers.follow.readers == 3)
    await readers.writer.append(lease, ["b"])
    await readers.writer.end(lease, [an_interaction()])
    whole = numbered(SELECTED, "a", "b", an_interaction())
    assert await before == await during == await readers.read_all() == whole
    assert await late == whole[2:]
    assert readers.follow.readers == 0


async def test_readers_of_one_process_share_what_is_read_of_the_log(readers: Readers) -> None:
    readers.log.poll_seconds = 3_600.0
    lease = await readers.begin()
    waiting = [asyncio.create_task(readers.read_all()) for _ in range(100)]
    await until(lambda: readers.follow.readers == 100)
    for _ in range(5):
        await asyncio.sleep(0)
    before = readers.reads
    for text in "abc":
        await readers.writer.append(lease, [text])
        for _, added in readers.log._subscribers:
            added.set()
        await asyncio.sleep(0.001)
    await readers.writer.end(lease, [an_interaction()])
    for _, added in readers.log._subscribers:
        added.set()
    expected = numbered("a", "b", "c", an_interaction())
    assert [await each for each in waiting] == [expected] * 100
    assert readers.reads - before <= 4 + 3  # a page for each append, and a look before each wait


async def test_a_reader_that_leaves_does_not_disturb_the_others(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    staying = asyncio.create_task(readers.read_all())
    async with aclosing(await readers.events()) as leaving:
        assert await anext(leaving) == NumberedEvent(0, "a")
    await until(lambda: readers.follow.readers == 1)
    await readers.writer.end(lease, [an_interaction()])
    assert await staying == numbered("a", an_interaction())


async def test_a_reader_that_comes_while_the_last_one_leaves_reads_on(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    leaving = await readers.events()
    assert await anext(leaving) == NumberedEvent(0, "a")
    coming = await readers.events()  # shares what is read, and has not begun to read
    await leaving.aclose()
    assert await anext(coming) == NumberedEvent(0, "a")
    await readers.writer.end(lease, [an_interaction()])
    async with asyncio.timeout(5.0):
        assert [event async for event in coming] == [NumberedEvent(1, an_interaction())]


async def test_no_task_is_left_when_all_readers_have_left(readers: Readers) -> None:
    await readers.begin()
    before = asyncio.all_tasks()
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.log._subscribers)
    reading.cancel()
    await asyncio.wait([reading])
    await until(lambda: asyncio.all_tasks() == before)
    assert readers.log._subscribers == []
    assert readers.follow.readers == 0


async def test_readers_wait_while_the_log_does_not_answer(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.follow.readers)
    readers.log.is_away = True
    await until(lambda: len(readers.clock.slept) > 3)
    readers.log.is_away = False
    await readers.writer.end(lease, [an_interaction()])
    assert await reading == numbered("a", an_interaction())


async def test_readers_of_an_answer_that_has_just_begun_wait_for_its_log(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    readers.log.is_away = True
    begun = readers.follow.begun(an_answer())
    reading = asyncio.create_task(anext(begun.events))
    await until(lambda: readers.clock.slept)
    readers.log.is_away = False
    assert await reading == NumberedEvent(0, "a")
    joined = readers.follow.begun(an_answer())
    assert await anext(joined.events) == NumberedEvent(0, "a")
    assert readers.follow.readers == 2
    reads = readers.reads
    await begun.events.aclose()
    await joined.events.aclose()
    assert readers.follow.readers == 0
    assert readers.reads <= reads + 1  # both shared what was read


async def test_a_log_that_does_not_answer_at_first_is_an_error(readers: Readers) -> None:
    await readers.begin()
    readers.log.is_away = True
    with pytest.raises(HistoryUnreadable):
        await readers.events()


async def test_readers_of_a_damaged_log_end_and_are_given_the_reason(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.follow.readers)
    readers.writer.logs[lease.key].is_damaged = True
    assert await reading == numbered("a")
    with pytest.raises(HistoryDamaged):
        await readers.events()


async def test_readers_end_when_reading_fails_unexpectedly(readers: Readers) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.append(context["exception"])
    )
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    bug = ValueError("a bug")
    reading = await readers.events()

    async def read(*_: object, **__: object) -> None:
        raise bug

    readers.log.read = read  # type: ignore[assignment, method-assign]
    async with asyncio.timeout(5.0):
        assert [event async for event in reading] == numbered("a")


async def test_readers_of_an_erased_answer_end_without_an_outcome(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.follow.readers)
    await readers.writer.erase(lease.key)
    await readers.history.erase("ana", an_id())
    assert await reading == numbered("a")
    with pytest.raises(NotFound):
        await readers.events()


async def test_an_erased_answer_is_not_served_while_an_earlier_reader_is_connected(
    readers: Readers,
) -> None:
    lease = await readers.begin()
    await readers.writer.append(lease, ["a"])
    await readers.writer.end(lease, [an_interaction()])
    async with aclosing(await readers.events()) as first:
        assert await anext(first) == NumberedEvent(0, "a")
        assert await readers.read_all() == numbered("a", an_interaction())
        await readers.writer.erase(lease.key)
        await readers.history.erase("ana", an_id())
        for _ in range(2):
            with pytest.raises(NotFound):
                await readers.events()
    assert readers.follow.readers == 0


async def test_without_a_log_the_answer_is_told_as_a_whole(readers: Readers) -> None:
    await readers.history.append(an_interaction())
    whole = (ProviderSelected(provider="scripted", model="demo"), "answer 0", an_interaction())
    assert await readers.read_all() == numbered(*whole)
    assert await readers.read_all(after=5) == numbered(Restarted(EXPIRED), *whole)


async def test_an_answer_without_text_has_no_empty_event(readers: Readers) -> None:
    failed = an_interaction(text="", status=Status.FAILED, error="timeout", provider=None)
    await readers.history.append(failed)
    selected = ProviderSelected(provider="", model="demo")
    assert await readers.read_all() == numbered(selected, failed)


async def test_an_answer_whose_log_is_on_another_host_is_waited_for(readers: Readers) -> None:
    lease = await readers.begin()
    await readers.writer.erase(lease.key)
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: len(readers.clock.slept) > 2)
    readers.history.is_unreadable = True
    looked = len(readers.clock.slept)
    await until(lambda: len(readers.clock.slept) > looked + 2)
    readers.history.is_unreadable = False
    outcome: Interaction = an_interaction()
    await readers.history.append(outcome)
    selected = ProviderSelected(provider="scripted", model="demo")
    assert await reading == numbered(selected, "answer 0", outcome)


async def test_an_answer_of_another_host_that_is_erased_ends_without_events(
    readers: Readers,
) -> None:
    lease = await readers.begin()
    await readers.writer.erase(lease.key)
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.clock.slept)
    await readers.history.erase("ana", an_id())
    assert await reading == []


@pytest.mark.parametrize(("user_id", "number"), [("ana", 1), ("bob", 0)])
async def test_an_unknown_interaction_is_not_found(
    readers: Readers, user_id: str, number: int
) -> None:
    await readers.begin()
    with pytest.raises(NotFound):
        await readers.follow(user_id, an_id(number))


async def test_what_another_process_adds_is_found_by_looking(readers: Readers) -> None:
    """Only the process that writes is notified."""
    readers.follow.clock = SystemClock()
    lease = await readers.begin()
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: readers.log._subscribers)
    await readers.writer.append(lease, ["a"])
    await readers.writer.end(lease, [an_interaction()])
    async with asyncio.timeout(5.0):
        assert await reading == numbered("a", an_interaction())


async def test_the_log_of_another_process_is_looked_at_less_often_while_nothing_comes(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = _recorded_waits(monkeypatch)
    readers.log.poll_seconds = 0.05
    lease = await readers.begin()
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: len(waits) > 5)
    assert waits[:6] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
    del waits[:]
    await readers.writer.append(lease, ["a"])
    await until(lambda: 0.05 in waits)
    await readers.writer.end(lease, [an_interaction()])
    await reading


async def test_the_log_that_this_process_writes_is_hardly_looked_at(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = _recorded_waits(monkeypatch)
    lease = await readers.begin()
    made = {lease.key}
    readers.follow.made_here = lambda: made
    reading = asyncio.create_task(readers.read_all())
    await until(lambda: len(waits) > 3)
    assert set(waits) == {1.0}
    made.clear()  # another process has taken over
    await until(lambda: waits[-1] == 0.5)
    await readers.writer.end(lease, [an_interaction()])
    await reading


def _recorded_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def wait(_event: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(follow_answer, "_set_within", wait)
    return waits

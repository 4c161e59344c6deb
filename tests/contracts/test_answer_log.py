"""What every event log of background answers keeps to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import (
    Asked,
    Concluded,
    LeaseState,
    LogEvent,
    LogPage,
    LogRecord,
    Restarted,
    is_event,
)
from domain.entities.interaction import Attempt, Status
from domain.entities.items import ProviderMetadata, ToolCall
from domain.entities.prompt import Prompt
from domain.entities.reply import MetadataReceived, ProviderSelected, ReasoningDelta
from domain.exceptions import (
    AnswerExists,
    HistoryDamaged,
    HistoryUnavailable,
    LeaseLost,
    Unstorable,
)
from domain.interfaces.answer_log import AnswerLog
from tests.contracts.answer_logs import KEEP_SECONDS, LOGS, Logs
from tests.fakes.interactions import an_id, an_interaction

LEASE_SECONDS = 10.0
SELECTED = ProviderSelected(provider="scripted", model="demo")
HIDDEN: list[LogRecord] = [
    MetadataReceived(
        metadata=ProviderMetadata(kind="gemini", family="gemini", value="x\n"), characters=3
    ),
    Asked(ProviderSelected(provider="other", model="demo-2", continues=True)),
    Attempt(provider="scripted", model="demo", outcome="ok", seconds=1.5),
    Concluded(an_interaction()),
]
EVENTS: list[LogRecord] = [
    SELECTED,
    "Good ",
    "morning ☀",
    ReasoningDelta("hm"),
    ToolCall(id="call_1", name="weather", arguments='{"city": "Pará"}'),
    Restarted("no model continues it"),
]


@pytest.fixture(params=LOGS)
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Logs]:
    async with LOGS[request.param](tmp_path / "data") as logs:
        yield logs


def an_answer(number: int = 0, **changes: Any) -> BackgroundAnswer:
    accepted = an_interaction(number, status=Status.IN_PROGRESS, text="", finish_reason=None)
    return BackgroundAnswer(
        interaction=replace(accepted, **changes),
        brings_context=True,
        may_fall_back=False,
        rate_limit_key="key:1",
        request_id="request-1",
        traceparent="00-1-1-01",
    )


async def begun(log: AnswerLog, number: int = 0, **changes: Any) -> AnswerLease:
    return await log.begin(an_answer(number, **changes), lease_seconds=LEASE_SECONDS)


async def taken(log: AnswerLog, key: AnswerKey) -> AnswerLease:
    found = await log.take_over(key, lease_seconds=LEASE_SECONDS)
    assert found is not None
    return found.lease


async def page(log: AnswerLog, key: AnswerKey, *, after: int = -1, limit: int = 1000) -> LogPage:
    found = await log.read(key, after=after, limit=limit)
    assert found is not None
    return found


async def events(log: AnswerLog, key: AnswerKey) -> Sequence[LogEvent]:
    found = await page(log, key)
    assert found.first_number == 0
    return found.events


def key_of(number: int = 0, user_id: str = "ana") -> AnswerKey:
    return AnswerKey(user_id=user_id, interaction_id=an_id(number))


async def test_a_log_that_began_is_read_with_its_request_and_no_events(logs: Logs) -> None:
    lease = await begun(logs.one)
    assert lease == AnswerLease(key=key_of(), epoch=1)
    for log in (logs.one, logs.other):
        assert await page(log, key_of()) == LogPage(answer=an_answer(), first_number=0)


async def test_without_a_log_there_is_nothing_to_read_stop_or_take_over(logs: Logs) -> None:
    for number in (2, 3):  # before the store holds anything, and afterwards
        assert await logs.one.read(key_of(1), after=-1, limit=10) is None
        assert not await logs.one.stop(key_of(1))
        assert await logs.one.take_over(key_of(1), lease_seconds=1.0) is None
        unknown = AnswerLease(key=key_of(1), epoch=1)
        assert list(await logs.one.look([unknown])) == [LeaseState.LOST]
        assert list(await logs.one.renew([unknown], lease_seconds=1.0)) == [LeaseState.LOST]
        assert list(await logs.one.abandoned(limit=10)) == []
        await logs.one.give_up(unknown)
        await logs.one.erase(key_of(1))
        await logs.one.erase_all("ana", an_id(1))
        await logs.one.purge()
        await begun(logs.one, number)


async def test_an_id_has_one_log(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["first"])
    with pytest.raises(HistoryUnavailable):
        await logs.other.begin(
            an_answer(prompt=Prompt.from_text("another")), lease_seconds=LEASE_SECONDS
        )
    assert await events(logs.other, key_of()) == ("first",)
    assert (await page(logs.other, key_of())).answer == an_answer()
    await logs.one.append(lease, ["second"])


async def test_what_was_appended_is_read_by_every_process_and_after_reopening(logs: Logs) -> None:
    lease = await begun(logs.one)
    for record in EVENTS:
        await logs.one.append(lease, [record])
    outcome = an_interaction(latency_seconds=2.5)
    await logs.one.end(lease, [outcome])
    async with logs.reopened() as third:
        for log in (logs.one, logs.other, third):
            found = await page(log, key_of())
            assert found.events == (*EVENTS, outcome)
            assert found.is_ended


async def test_hidden_records_have_no_number_and_are_not_shown(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, HIDDEN)
    await logs.one.append(lease, ["a", *HIDDEN, "b"])
    await logs.one.append(lease, HIDDEN)
    await logs.one.append(lease, ["c"])
    assert lease.next_number == 3
    for after, expected in ((-1, ("a", "b", "c")), (0, ("b", "c")), (1, ("c",)), (2, ())):
        found = await page(logs.other, key_of(), after=after)
        assert (found.first_number, found.events) == (after + 1, expected)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_follow_each_other_without_gap_or_repetition(logs: Logs, limit: int) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["0", "1", "2"])
    await logs.one.append(lease, HIDDEN)
    await logs.one.append(lease, ["3"])
    await logs.one.end(lease, [*HIDDEN, "4", an_interaction()])
    seen: list[LogEvent] = []
    is_ended = False
    while not is_ended:
        found = await page(logs.other, key_of(), after=len(seen) - 1, limit=limit)
        assert found.first_number == len(seen)
        assert 0 < len(found.events) <= limit
        assert found.answer == an_answer()
        seen += found.events
        is_ended = found.is_ended
    assert seen == ["0", "1", "2", "3", "4", an_interaction()]


async def test_a_page_says_whether_the_end_is_in_it_or_before_it(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["0", "1"])
    assert not (await page(logs.one, key_of())).is_ended
    assert not (await page(logs.one, key_of(), after=1)).is_ended
    await logs.one.end(lease, [an_interaction()])
    for log in (logs.one, logs.other):
        assert not (await page(log, key_of(), limit=2)).is_ended
        assert (await page(log, key_of(), limit=3)).is_ended
        for after in (2, 50):
            behind = await page(log, key_of(), after=after)
            assert (behind.events, behind.is_ended) == ((), True)


async def test_an_append_of_nothing_changes_nothing(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, [])
    assert lease == AnswerLease(key=key_of(), epoch=1)
    await logs.one.append(lease, ["a"])
    assert await events(logs.one, key_of()) == ("a",)


async def test_after_a_takeover_the_old_lease_writes_nothing(logs: Logs) -> None:
    old = await begun(logs.one)
    await logs.one.append(old, ["a"])
    logs.clock.advance(LEASE_SECONDS)
    new = await taken(logs.other, key_of())
    for write in (
        logs.one.append(old, ["of the old lease"]),
        logs.one.end(old, [an_interaction(text="of the old lease")]),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert list(await logs.one.renew([old], lease_seconds=99.0)) == [LeaseState.LOST]
    assert list(await logs.one.look([old, new])) == [LeaseState.LOST, LeaseState.HELD]
    await logs.one.give_up(old)
    assert await events(logs.other, key_of()) == ("a",)
    await logs.other.append(new, ["b"])
    await logs.other.end(new, [an_interaction()])
    assert await events(logs.one, key_of()) == ("a", "b", an_interaction())


async def test_a_takeover_has_everything_that_was_written(logs: Logs) -> None:
    old = await begun(logs.one)
    logs.clock.advance(1.0)
    records = [SELECTED, "a", *HIDDEN, "b"]
    await logs.one.append(old, records[:3])
    await logs.one.append(old, records[3:])
    written = logs.clock.now_milliseconds()
    await logs.one.stop(key_of())
    logs.clock.advance(LEASE_SECONDS)
    found = await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert found.answer == an_answer()
    assert found.records == records
    assert found.is_stopped
    assert found.last_written_milliseconds == written
    lease = found.lease
    assert (lease.key, lease.epoch, lease.takeovers, lease.next_number) == (key_of(), 2, 1, 3)


async def test_a_takeover_without_records_has_the_time_of_the_request(logs: Logs) -> None:
    began = logs.clock.now_milliseconds()
    await begun(logs.one)
    logs.clock.advance(LEASE_SECONDS)
    found = await logs.one.take_over(key_of(), lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert found.last_written_milliseconds == began
    assert (list(found.records), found.is_stopped) == ([], False)


async def test_of_two_that_take_over_at_once_one_gets_the_lease(logs: Logs) -> None:
    await begun(logs.one)
    for epoch in range(2, 6):
        logs.clock.advance(LEASE_SECONDS)
        found = await asyncio.gather(
            *(
                log.take_over(key_of(), lease_seconds=LEASE_SECONDS)
                for log in (logs.one, logs.other, logs.one, logs.other)
            )
        )
        (winner,) = [each for each in found if each is not None]
        assert winner.lease.epoch == epoch


async def test_a_lease_that_is_held_is_not_taken(logs: Logs) -> None:
    lease = await begun(logs.one)
    logs.clock.advance(LEASE_SECONDS - 1)
    assert await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS) is None
    assert list(await logs.one.renew([lease], lease_seconds=LEASE_SECONDS)) == [LeaseState.HELD]
    logs.clock.advance(LEASE_SECONDS - 1)
    assert await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS) is None
    await logs.one.append(lease, ["a"])


async def test_an_append_does_not_renew_the_lease(logs: Logs) -> None:
    lease = await begun(logs.one)
    logs.clock.advance(LEASE_SECONDS - 1)
    await logs.one.append(lease, ["a"])
    logs.clock.advance(1.0)
    assert list(await logs.one.abandoned(limit=5)) == [key_of()]
    assert (await taken(logs.other, key_of())).epoch == 2


async def test_a_lease_that_ran_out_is_renewed_if_no_process_took_it(logs: Logs) -> None:
    lease = await begun(logs.one)
    logs.clock.advance(5 * LEASE_SECONDS)
    await logs.one.append(lease, ["a"])
    assert list(await logs.one.renew([lease], lease_seconds=LEASE_SECONDS)) == [LeaseState.HELD]
    assert list(await logs.one.abandoned(limit=5)) == []
    assert await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS) is None


async def test_leases_are_renewed_and_looked_at_in_their_order(logs: Logs) -> None:
    leases = [await begun(logs.one, number) for number in range(4)]
    await logs.one.end(leases[1], [an_interaction(1)])
    await logs.other.stop(key_of(2))
    await logs.other.erase(key_of(3))
    expected = [LeaseState.HELD, LeaseState.LOST, LeaseState.STOPPED, LeaseState.LOST]
    assert list(await logs.one.look(leases)) == expected
    assert list(await logs.one.renew(leases, lease_seconds=LEASE_SECONDS)) == expected
    assert list(await logs.one.look(leases[::-1])) == expected[::-1]
    assert list(await logs.one.look([])) == []
    assert list(await logs.one.renew([], lease_seconds=LEASE_SECONDS)) == []


async def test_looking_renews_nothing(logs: Logs) -> None:
    lease = await begun(logs.one)
    logs.clock.advance(LEASE_SECONDS)
    assert list(await logs.one.look([lease])) == [LeaseState.HELD]
    assert list(await logs.one.abandoned(limit=5)) == [key_of()]


async def test_a_lease_that_was_given_up_is_taken_at_once_and_is_no_takeover(logs: Logs) -> None:
    old = await begun(logs.one)
    await logs.one.give_up(old)
    assert list(await logs.other.abandoned(limit=5)) == [key_of()]
    assert list(await logs.one.renew([old], lease_seconds=99.0)) == [LeaseState.LOST]
    assert list(await logs.one.look([old])) == [LeaseState.LOST]
    new = await taken(logs.other, key_of())
    assert (new.epoch, new.takeovers) == (2, 0)
    with pytest.raises(LeaseLost):
        await logs.one.append(old, ["late"])
    assert list(await logs.other.look([new])) == [LeaseState.HELD]


async def test_takeovers_count_leases_that_ran_out(logs: Logs) -> None:
    lease = await begun(logs.one)
    counts = []
    for is_given_up in (False, True, False, True):
        if is_given_up:
            await logs.one.give_up(lease)
        else:
            logs.clock.advance(LEASE_SECONDS)
        lease = await taken(logs.one, key_of())
        counts.append(lease.takeovers)
    assert counts == [1, 1, 2, 2]


async def test_abandoned_answers_come_in_the_order_of_their_wait_and_no_more_than_asked(
    logs: Logs,
) -> None:
    for number in (3, 1, 2):
        await begun(logs.one, number)
        logs.clock.advance(1.0)
    lease = await begun(logs.one, 4)
    await begun(logs.one, 0)
    ended = await begun(logs.one, 5)
    await logs.one.end(ended, [an_interaction(5)])
    assert list(await logs.other.abandoned(limit=10)) == []
    logs.clock.advance(LEASE_SECONDS - 1)
    waiting = [key_of(number) for number in (3, 1, 2)]
    assert list(await logs.other.abandoned(limit=10)) == waiting
    assert list(await logs.other.abandoned(limit=2)) == waiting[:2]
    await logs.one.give_up(lease)
    assert list(await logs.other.abandoned(limit=10)) == [*waiting, key_of(4)]
    await taken(logs.one, key_of(1))
    assert list(await logs.other.abandoned(limit=10)) == [key_of(3), key_of(2), key_of(4)]


async def test_a_stop_is_seen_by_the_holder_of_the_lease_and_by_the_next(logs: Logs) -> None:
    lease = await begun(logs.one)
    for _ in range(2):
        assert await logs.other.stop(key_of())
        assert list(await logs.one.look([lease])) == [LeaseState.STOPPED]
    assert list(await logs.one.renew([lease], lease_seconds=LEASE_SECONDS)) == [LeaseState.STOPPED]
    await logs.one.append(lease, ["a"])
    await logs.one.give_up(lease)
    found = await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert found.is_stopped


async def test_after_its_end_a_log_takes_nothing_and_its_lease_is_lost(logs: Logs) -> None:
    lease = await begun(logs.one)
    outcome = an_interaction()
    await logs.one.end(lease, ["a", outcome])
    for write in (logs.one.append(lease, ["b"]), logs.one.end(lease, [an_interaction(text="b")])):
        with pytest.raises(LeaseLost):
            await write
    assert list(await logs.one.look([lease])) == [LeaseState.LOST]
    assert list(await logs.one.renew([lease], lease_seconds=99.0)) == [LeaseState.LOST]
    assert not await logs.other.stop(key_of())
    await logs.one.give_up(lease)
    logs.clock.advance(2 * LEASE_SECONDS)
    assert list(await logs.one.abandoned(limit=5)) == []
    assert await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS) is None
    assert await events(logs.other, key_of()) == ("a", outcome)


async def test_an_append_whose_confirmation_was_lost_adds_its_records_once(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["a"])
    before = replace(lease)
    await logs.one.append(lease, ["b", *HIDDEN, "c"])
    await logs.one.append(before, ["b", *HIDDEN, "c"])
    assert before == lease
    before = replace(lease)
    await logs.one.append(lease, ["d"])
    await logs.one.append(before, ["d", "e"])  # with what came since
    assert before.next_number == 5
    await logs.one.append(before, ["f"])
    before_end = replace(before)
    await logs.one.end(before, ["g", an_interaction()])
    await logs.one.end(before_end, ["g", an_interaction()])
    assert before_end == before
    assert await events(logs.other, key_of()) == (*"abcdefg", an_interaction())


async def test_an_end_after_an_append_whose_confirmation_was_lost_adds_the_rest(logs: Logs) -> None:
    lease = await begun(logs.one)
    before = replace(lease)
    await logs.one.append(lease, ["a"])
    await logs.one.end(before, ["a", "b", an_interaction()])
    found = await page(logs.other, key_of())
    assert (found.events, found.is_ended) == (("a", "b", an_interaction()), True)


async def test_the_writer_of_an_erased_log_loses_its_lease(logs: Logs) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["a"])
    before = replace(lease)
    await logs.one.append(lease, ["b"])
    assert await events(logs.other, key_of()) == ("a", "b")
    for _ in range(2):
        await logs.other.erase(key_of())
        for late in (lease, before):
            with pytest.raises(LeaseLost):
                await logs.one.append(replace(late), ["b"])
            with pytest.raises(LeaseLost):
                await logs.one.end(replace(late), [an_interaction()])
        assert list(await logs.one.look([lease])) == [LeaseState.LOST]
        for log in (logs.one, logs.other):
            assert await log.read(key_of(), after=-1, limit=10) is None
            assert await log.read(key_of(), after=1, limit=10) is None
        logs.clock.advance(2 * LEASE_SECONDS)
        assert list(await logs.one.abandoned(limit=5)) == []
        assert await logs.one.take_over(key_of(), lease_seconds=1.0) is None
        assert not await logs.one.stop(key_of())


async def test_an_id_whose_log_was_erased_has_a_new_log_or_none(logs: Logs) -> None:
    await begun(logs.one)
    await logs.one.erase(key_of())
    for log in (logs.one, logs.other):
        try:
            lease = await begun(log)
        except AnswerExists:
            assert await log.read(key_of(), after=-1, limit=1) is None
            logs.clock.advance(LEASE_SECONDS)
            assert list(await log.abandoned(limit=5)) == []
        else:
            await log.append(lease, ["a"])
            assert await events(logs.other, key_of()) == ("a",)
            await log.erase(key_of())


async def test_an_ended_log_is_erased(logs: Logs) -> None:
    lease = await begun(logs.one)
    before = replace(lease)
    await logs.one.end(lease, ["a", an_interaction()])
    await logs.other.erase(key_of())
    assert await logs.one.read(key_of(), after=-1, limit=10) is None
    with pytest.raises(LeaseLost):
        await logs.one.end(before, ["a", an_interaction()])
    assert await logs.one.read(key_of(), after=-1, limit=10) is None


@pytest.mark.slow
async def test_all_logs_of_one_user_up_to_a_millisecond_are_erased(logs: Logs) -> None:
    for number in range(45):  # more than one job of SQLite removes
        await begun(logs.one, number)
    lease = await begun(logs.one, 3, user_id="ana2")
    await begun(logs.one, 4, user_id="an")
    await logs.one.erase_all("ana", an_id(42))
    for number in (0, 3, 41, 42):
        assert await logs.one.read(key_of(number), after=-1, limit=10) is None
    for key in (key_of(43), key_of(44), key_of(3, "ana2"), key_of(4, "an")):
        assert await logs.one.read(key, after=-1, limit=10) is not None
    await logs.one.append(lease, ["a"])


@pytest.mark.slow
async def test_a_large_record_comes_back_whole(logs: Logs) -> None:
    call = ToolCall(id="call_1", name="write", arguments=_incompressible(1024 * 1024))
    prompt = Prompt.from_text(_incompressible(1024 * 1024))
    lease = await begun(logs.one, prompt=prompt)
    before = replace(lease)
    await logs.one.append(lease, ["a", call])
    await logs.one.append(before, ["a", call])
    await logs.one.append(lease, ["b"])
    assert await events(logs.other, key_of()) == ("a", call, "b")
    assert (await page(logs.other, key_of(), after=1)).events == ("b",)
    logs.clock.advance(LEASE_SECONDS)
    found = await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert found.records == ["a", call, "b"]
    assert found.answer.interaction.prompt == prompt
    await logs.other.erase(key_of())
    assert await logs.one.read(key_of(), after=-1, limit=10) is None


async def test_text_that_is_no_unicode_is_refused_and_the_next_append_is_not(logs: Logs) -> None:
    lease = await begun(logs.one)
    with pytest.raises(Unstorable):
        await logs.one.append(lease, ["fine", "\ud800"])
    await logs.one.append(lease, ["a"])
    with pytest.raises(Unstorable):
        await logs.one.end(lease, [an_interaction(text="\udfff")])
    await logs.one.end(lease, [an_interaction()])
    assert await events(logs.other, key_of()) == ("a", an_interaction())
    with pytest.raises(Unstorable):
        await begun(logs.one, 1, prompt=Prompt.from_text("\ud800"))
    assert await logs.one.read(key_of(1), after=-1, limit=10) is None


@pytest.mark.slow
@pytest.mark.parametrize("body", [b'[{"of the future": 1}]', b"[", b"[1]"])
async def test_records_that_this_program_does_not_know_are_damage(logs: Logs, body: bytes) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["a"])
    await logs.spoil(key_of(), body)
    with pytest.raises(HistoryDamaged):
        await logs.other.read(key_of(), after=-1, limit=10)
    logs.clock.advance(LEASE_SECONDS)
    with pytest.raises(HistoryDamaged):
        await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("is_given_up", [False, True])
async def test_a_takeover_that_cannot_read_the_log_leaves_it_to_any_process_at_once(
    logs: Logs, is_given_up: bool
) -> None:
    lease = await begun(logs.one)
    await logs.one.append(lease, ["a"])
    if is_given_up:
        await logs.one.give_up(lease)
    logs.clock.advance(LEASE_SECONDS)
    await logs.spoil(key_of(), b"[")
    for _ in range(2):
        with pytest.raises(HistoryDamaged):
            await logs.other.take_over(key_of(), lease_seconds=LEASE_SECONDS)
        assert list(await logs.one.abandoned(limit=5)) == [key_of()]
    await logs.spoil(key_of(), b'["a"]')
    found = await logs.one.take_over(key_of(), lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert list(found.records) == ["a"]
    assert found.lease.takeovers == (0 if is_given_up else 1)
    await logs.one.append(found.lease, ["b"])
    assert await events(logs.other, key_of()) == ("a", "b")


async def test_a_waiting_reader_is_woken_by_an_append_of_its_process(logs: Logs) -> None:
    lease = await begun(logs.one)
    other_lease = await begun(logs.one, 1)
    with logs.one.subscribe(key_of()) as added:
        await logs.one.append(other_lease, ["of another answer"])
        assert not added.is_set()
        await logs.one.append(lease, ["a"])
        assert added.is_set()
        added.clear()
        await logs.one.end(lease, [an_interaction()])
        assert added.is_set()


async def test_many_appends_at_once_fail_and_succeed_on_their_own(logs: Logs) -> None:
    lost = await begun(logs.one, 0)
    logs.clock.advance(LEASE_SECONDS)
    await taken(logs.other, key_of(0))
    leases = [lost, *[await begun(logs.one, number) for number in range(1, 6)]]
    done = await asyncio.gather(
        *(logs.one.append(lease, [str(number)]) for number, lease in enumerate(leases)),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [LeaseLost, *[type(None)] * 5]
    for number in range(1, 6):
        assert await events(logs.other, key_of(number)) == (str(number),)


async def test_logs_are_kept_for_their_time_after_the_end(logs: Logs) -> None:
    lease = await begun(logs.one)
    await begun(logs.one, 1)
    await logs.one.end(lease, [an_interaction()])
    logs.clock.advance(KEEP_SECONDS - 1)
    await logs.other.purge()
    assert (await page(logs.one, key_of())).is_ended
    logs.clock.advance(1.0)
    assert await logs.one.read(key_of(), after=-1, limit=10) is None
    await logs.other.purge()
    assert await logs.one.read(key_of(), after=-1, limit=10) is None
    assert await logs.one.read(key_of(1), after=-1, limit=10) is not None


_numbers = count(1000)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append again", "take over", "give up"]), st.integers(0, 1)
    )
    | st.tuples(st.just("append"), st.integers(0, 1)),
    max_size=12,
)


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(_steps)
async def test_any_order_of_appends_and_takeovers_gives_the_acknowledged_events_in_order(
    logs: Logs, steps: Sequence[tuple[str, int]]
) -> None:
    """Two processes with a lease each, of which one at most is current."""
    number = next(_numbers)
    key = key_of(number)
    processes = (logs.one, logs.other)
    leases = {0: await begun(logs.one, number)}
    acknowledged: list[LogRecord] = []
    for text, (step, who) in enumerate(steps):
        records: list[LogRecord] = [f"{text}", *HIDDEN[:1], f"{text} more"]
        if step == "take over":
            logs.clock.advance(LEASE_SECONDS)
            leases[who] = await taken(processes[who], key)
        elif who not in leases:
            continue
        elif step == "give up":
            await processes[who].give_up(leases[who])
        else:
            before = replace(leases[who])
            try:
                await processes[who].append(leases[who], records)
                if step == "append again":
                    await processes[who].append(before, records)
            except LeaseLost:
                continue
            acknowledged += records
    shown = tuple(record for record in acknowledged if is_event(record))
    assert await events(logs.one, key) == shown
    last = max(leases.values(), key=lambda lease: lease.epoch)
    assert last.next_number == len(shown)
    logs.clock.advance(LEASE_SECONDS)
    found = await logs.other.take_over(key, lease_seconds=LEASE_SECONDS)
    assert found is not None
    assert found.records == acknowledged


def _incompressible(length: int) -> str:
    """Return a text of that length that compresses badly, the same each time."""
    return Random(7).randbytes(length // 2 + 1).hex()[:length]

"""An outbox accepts for a store that is away, shows what it holds, and delivers all of it once."""

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction, Status
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from infra.clock import SystemClock
from infra.history.sqlite.outbox import housekeeping as outbox_housekeeping
from infra.history.sqlite.outbox import relay
from infra.history.sqlite.outbox.outbox import OUTBOX_FOLDER, Outbox, open_outbox
from infra.history.sqlite.outbox.outbox_file import count_waiting
from infra.history.sqlite.outbox.relay import BATCH_ROWS, LONGEST_PAUSE_SECONDS, pause_seconds
from infra.history.sqlite.schema import open_reader
from infra.history.sqlite.store import open_sqlite
from infra.history.sqlite.write_jobs import Append
from infra.tasks import supervised as background
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction, begin
from tests.fakes.unreliable_store import UnreliableStore
from tests.support.outbox_waits import PATIENCE_SECONDS, stored, until_stored


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[UnreliableStore]:
    async with open_sqlite(
        tmp_path / "store", clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as behind:
        yield UnreliableStore(behind)


@pytest.fixture
def opened(
    tmp_path: Path, store: UnreliableStore
) -> Callable[..., AbstractAsyncContextManager[Outbox]]:
    """Open an outbox before the store: each call is another process of the same host."""

    def open_one(**changes: Any) -> AbstractAsyncContextManager[Outbox]:
        usual = {
            "store": store,
            "clock": SystemClock(),
            "read_seconds": 10.0,
            "min_free_disk_bytes": 0,
            "reap_seconds": 0.05,
            "housekeeping_seconds": 0.05,
            "drain_seconds": 0.0,
        }
        return open_outbox(tmp_path / "host", **usual | changes)

    return open_one


Opened = Callable[..., AbstractAsyncContextManager[Outbox]]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return once `condition` gives something true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_it_accepts_and_shows_what_the_store_cannot_take(
    opened: Opened, store: UnreliableStore
) -> None:
    store.is_away = True
    async with opened() as outbox:
        outbox.admit()
        await outbox.append(an_interaction(1))
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)
        with pytest.raises(HistoryUnreadable):
            await outbox.find("ana", an_id(2))
        with pytest.raises(HistoryUnreadable):
            await outbox.search(asking())
        with pytest.raises(HistoryUnreadable):
            await outbox.erase("ana", an_id(1))
        with pytest.raises(HistoryUnreadable):
            await outbox.erase_all("ana", an_id(1))
        assert [one.component for one in outbox.degraded()] == ["history store"]
        assert outbox.lag_seconds() > 0.0
        assert await outbox.find("ana", an_id(1)) == an_interaction(1), "nothing was done"

        store.is_away = False
        await until_stored(store, an_interaction(1))
        await until(lambda: asyncio.sleep(0, outbox.lag_seconds() == 0.0))
        assert outbox.degraded() == []
        assert await walk(outbox, asking()) == [an_interaction(1)]


async def test_turns_of_tools_are_delivered_as_they_were_accepted(
    opened: Opened, store: UnreliableStore
) -> None:
    store.is_away = True
    turns = [a_tool_turn(number) for number in (1, 2)]
    async with opened() as outbox:
        await outbox.append_many(turns)
        assert await outbox.find("ana", an_id(1)) == turns[0]
    async with opened() as outbox:
        assert await outbox.find("ana", an_id(2)) == turns[1]
        store.is_away = False
        await until_stored(store, *turns)


async def test_a_queue_that_is_away_does_not_make_the_store_unread(
    opened: Opened, store: UnreliableStore
) -> None:
    queue = UnreliableStore(store.behind)
    queue.is_away = True
    first, second = an_interaction(1, conversation_id="c"), an_interaction(2, conversation_id="c")
    await store.append_many([first])
    async with opened(sink=queue) as outbox:
        await outbox.append(second)
        await until(lambda: _has_tried(queue))
        page = await outbox.recall(asking(conversation_id="c", order=Order.ASC))

        assert list(page.interactions) == [first, second]
        assert outbox.degraded() == []


async def _has_tried(store: UnreliableStore) -> bool:
    return len(store.batches) > 1


async def test_a_store_known_to_be_away_is_not_asked_for_what_is_here(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened(is_only_host=True) as outbox:
        assert not (await outbox.recall(asking(conversation_id="c"))).interactions
        await outbox.append(an_interaction(1, conversation_id="c"))
        store.is_away = True
        await outbox.append(an_interaction(2))
        await until(lambda: asyncio.sleep(0, outbox.degraded()))
        store.hangs = True
        assert await outbox.find("ana", an_id(1)) is not None
        assert (await outbox.recall(asking(conversation_id="c"))).interactions


@pytest.mark.realtime
async def test_a_store_that_hangs_is_not_waited_for(opened: Opened, store: UnreliableStore) -> None:
    async with opened(read_seconds=0.3) as outbox:
        store.hangs = True
        started = time.monotonic()
        with pytest.raises(HistoryUnreadable):
            await outbox.search(asking())
        assert time.monotonic() - started < 5.0


async def test_erasing_waits_no_longer_than_a_read_for_a_delivery(
    opened: Opened, store: UnreliableStore
) -> None:
    store.may_write.clear()
    async with opened(read_seconds=0.3) as outbox:
        await outbox.append(an_interaction(1))
        await store.has_batch.wait()
        with pytest.raises(HistoryUnreadable):
            await outbox.erase_all("ana", an_id(1))
        store.may_write.set()


async def test_everything_is_delivered_in_batches_and_once(
    opened: Opened, store: UnreliableStore
) -> None:
    store.may_write.clear()
    async with opened() as outbox:
        everything = [an_interaction(number) for number in range(BATCH_ROWS + 50)]
        await outbox.append(everything[0])
        await store.has_batch.wait()
        await asyncio.gather(*(outbox.append(one) for one in everything[1:]))
        await until(lambda: asyncio.sleep(0, outbox.backlog().rows == len(everything)))
        store.may_write.set()
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        assert await stored(store) == everything
        assert [len(batch) for batch in store.batches] == [1, BATCH_ROWS, 49]
        await until(lambda: asyncio.sleep(0, outbox.backlog().rows == 0))
        assert outbox.backlog().size_bytes == 0


async def test_large_rows_travel_in_smaller_batches(opened: Opened, store: UnreliableStore) -> None:
    store.is_away = True
    async with opened() as outbox:
        for number in range(10):
            await outbox.append(an_interaction(number, text="x" * 1024 * 1024))
        store.batches.clear()
        store.is_away = False
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
    assert max(len(batch) for batch in store.batches) == 4


async def test_a_delivery_whose_acknowledgement_was_lost_changes_nothing(
    opened: Opened, store: UnreliableStore
) -> None:
    store.fails_after_writing = 2
    async with opened() as outbox:
        await outbox.append(an_interaction(1))
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        assert store.batches == [[an_id(1)]] * 3
        assert await stored(store) == [an_interaction(1)]


async def test_what_was_not_delivered_is_after_a_restart(
    opened: Opened, store: UnreliableStore, tmp_path: Path
) -> None:
    store.is_away = True
    async with opened() as outbox:
        await outbox.append(an_interaction(1))
    store.is_away = False
    async with opened() as outbox:
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)
        await until_stored(store, an_interaction(1))
        assert len(list((tmp_path / "host" / OUTBOX_FOLDER).glob("*.db"))) == 1, (
            "it took its file up again"
        )


async def test_what_a_dead_process_left_behind_is_taken_over(
    opened: Opened, store: UnreliableStore, tmp_path: Path
) -> None:
    folder = tmp_path / "host" / OUTBOX_FOLDER
    store.is_away = True
    left_behind = [an_interaction(number) for number in range(450)]
    under_way = an_interaction(500, text="", status=Status.INTERRUPTED)
    async with opened() as living:
        async with opened() as dying:
            assert len(list(folder.glob("*.db"))) == 2
            await dying.append_many(left_behind)
            begin(dying, under_way, lost_after_seconds=1e9)
        await living.append(an_interaction(700))
        assert await living.find("ana", an_id(0)) == left_behind[0], "whether taken over yet or not"
        store.is_away = False
        await until_stored(store, *left_behind, an_interaction(700))
        assert [
            path.suffixes for path in sorted(folder.iterdir()) if "db" not in path.suffixes[0]
        ] == []
        assert len({path.name[:16] for path in folder.iterdir()}) == 1
        reader = open_reader(next(folder.glob("*.db")))
        assert reader.execute("SELECT id FROM started").fetchall() == [(under_way.id,)]
        reader.close()


async def test_taking_over_twice_changes_nothing(
    opened: Opened, store: UnreliableStore, tmp_path: Path
) -> None:
    folder = tmp_path / "host" / OUTBOX_FOLDER
    store.is_away = True
    async with opened() as dying:
        await dying.append(an_interaction(1))
    left_behind = next(folder.glob("*.db"))
    copy = folder / "copied.db"
    copy.write_bytes(left_behind.read_bytes())
    store.is_away = False
    async with opened() as outbox:
        await until(lambda: asyncio.sleep(0, not (copy.exists() and left_behind.exists())))
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        assert await stored(store) == [an_interaction(1)]


async def test_an_outbox_that_cannot_be_taken_over_does_not_stop_the_others(
    opened: Opened, store: UnreliableStore, tmp_path: Path
) -> None:
    folder = tmp_path / "host" / OUTBOX_FOLDER
    store.is_away = True
    async with opened(), opened() as dying:
        await dying.append(an_interaction(1))
    (folder / "0.db").write_bytes(b"no database at all, whatever its name says" * 10)
    store.is_away = False
    async with opened() as outbox:
        await until_stored(store, an_interaction(1))
        await outbox.append(an_interaction(2))
        await until_stored(store, an_interaction(1), an_interaction(2))
    assert (folder / "0.db").exists()


async def test_processes_of_a_host_show_what_each_other_holds(
    opened: Opened, store: UnreliableStore
) -> None:
    store.is_away = True
    async with opened() as one, opened() as other:
        await one.append(an_interaction(1))
        await other.append(an_interaction(2))
        for outbox in (one, other):
            for number in (1, 2):
                assert await outbox.find("ana", an_id(number)) == an_interaction(number)
        await until(lambda: asyncio.sleep(0, other.lag_seconds() > 0.0 and one.lag_seconds() > 0.0))


async def test_what_one_process_erased_no_other_shows(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as one, opened() as other:
        await one.append_many([an_interaction(1), an_interaction(2), an_interaction(3)])
        await until_stored(store, an_interaction(1), an_interaction(2), an_interaction(3))
        await other.erase("ana", an_id(1))
        assert await other.erase_all("ana", an_id(2)) == 1
        store.is_away = True
        for outbox in (one, other):
            await outbox.append(an_interaction(4))  # so that it notices that the store is away
            await until(lambda outbox=outbox: asyncio.sleep(0, outbox.degraded()))
        for outbox in (one, other):
            with pytest.raises(HistoryUnreadable):
                await outbox.find("ana", an_id(1))
            with pytest.raises(HistoryUnreadable):
                await outbox.find("ana", an_id(2))
            assert await outbox.find("ana", an_id(3)) == an_interaction(3)
        reader = open_reader(one._parts.file.path)
        await until(
            lambda: asyncio.sleep(0, reader.execute("SELECT count(*) FROM interaction").get == 2)
        )
        reader.close()


async def test_what_was_erased_on_another_host_is_not_shown_here(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        await outbox.append_many([an_interaction(1), an_interaction(2)])
        await until_stored(store, an_interaction(1), an_interaction(2))
        await store.behind.erase("ana", an_id(1))
        assert await walk(outbox, asking()) == [an_interaction(2)]
        assert await outbox.find("ana", an_id(1)) is None


async def test_erasing_wins_over_a_delivery_under_way(
    opened: Opened, store: UnreliableStore
) -> None:
    store.may_write.clear()
    async with opened() as outbox:
        await outbox.append_many([an_interaction(1), an_interaction(2)])
        await store.has_batch.wait()
        await outbox.erase("ana", an_id(1))
        assert await outbox.find("ana", an_id(1)) is None
        await outbox.append(an_interaction(1))
        store.may_write.set()
        await until_stored(store, an_interaction(2))
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        assert await walk(outbox, asking()) == [an_interaction(2)]


async def test_a_delivery_under_way_marks_no_row_that_came_later(
    opened: Opened, store: UnreliableStore
) -> None:
    store.may_write.clear()
    async with opened() as outbox:
        await outbox.append(an_interaction(1))
        await store.has_batch.wait()
        await outbox.erase("ana", an_id(1))
        await outbox.append(an_interaction(2))
        store.may_write.set()
        await until_stored(store, an_interaction(2))


async def test_erasing_all_counts_what_is_here_and_there_once(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        await outbox.append_many([an_interaction(number) for number in range(5)])
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        async with outbox._parts.relay.delivering:
            await outbox.append_many([an_interaction(number) for number in range(5, 8)])
            erasing = asyncio.create_task(outbox.erase_all("ana", an_id(6)))
            await asyncio.sleep(0)
        assert await erasing == 7
        await until_stored(store, an_interaction(7))


async def test_a_late_outcome_is_delivered_after_its_interruption(
    opened: Opened, store: UnreliableStore
) -> None:
    interrupted = an_interaction(1, text="", status=Status.INTERRUPTED)
    async with opened() as outbox:
        begin(outbox, interrupted, lost_after_seconds=-1e9)
        await until_stored(store, interrupted)
        await outbox.append(an_interaction(1))
        await until_stored(store, an_interaction(1))


def running(number: int = 1) -> Interaction:
    return an_interaction(number, text="", status=Status.IN_PROGRESS, model="asked")


async def test_an_answer_in_progress_is_delivered_and_so_is_its_outcome(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        await outbox.append(running())
        await until_stored(store, running())
        await outbox.append(an_interaction(1))
        await outbox.append(running())
        await until_stored(store, an_interaction(1))
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
    assert store.batches == [[an_id(1)], [an_id(1)]]


async def test_an_outcome_is_delivered_although_the_answer_in_progress_was_refused(
    opened: Opened, store: UnreliableStore
) -> None:
    store.refused.add(an_id(1))
    async with opened() as outbox:
        await outbox.append(running())
        await until(lambda: asyncio.sleep(0, outbox.set_aside().rows))
        store.refused.clear()
        await outbox.append(an_interaction(1))
        await until_stored(store, an_interaction(1))
        assert outbox.set_aside().rows == 0


IN_PROGRESS = frozenset({Status.IN_PROGRESS})


@pytest.mark.parametrize("is_delivered", [False, True])
async def test_what_another_process_of_the_host_has_finished_is_no_longer_in_progress(
    opened: Opened, store: UnreliableStore, is_delivered: bool
) -> None:
    async with opened() as outbox, opened() as other:
        if not is_delivered:
            store.may_write.clear()
        await outbox.append_many([running(1), running(2)])
        if is_delivered:
            await until_stored(store, running(1), running(2))
        store.may_write.clear()
        await other.append(an_interaction(1))
        for each in (outbox, other):
            assert await walk(each, asking(statuses=IN_PROGRESS)) == [running(2)]
            assert await walk(each, asking(model="asked", statuses=EVERY_STATUS)) == [running(2)]
            assert await walk(each, asking()) == [an_interaction(1)]
            assert await each.find("ana", an_id(1)) == an_interaction(1)
        store.may_write.set()


async def test_what_another_host_has_finished_is_no_longer_in_progress(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        await outbox.append_many([running(1), running(2)])
        await until_stored(store, running(1), running(2))
        await store.behind.append(an_interaction(1))
        assert await walk(outbox, asking(statuses=IN_PROGRESS)) == [running(2)]
        assert await walk(outbox, asking(statuses=EVERY_STATUS)) == [running(2), an_interaction(1)]
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)


@pytest.mark.parametrize("is_outcome_adopted", [False, True])
async def test_taking_over_an_outbox_never_undoes_an_outcome(
    opened: Opened, store: UnreliableStore, is_outcome_adopted: bool, tmp_path: Path
) -> None:
    store.is_away = True
    here, adopted = running(), an_interaction(1)
    if not is_outcome_adopted:
        here, adopted = adopted, here
    async with opened() as outbox:
        await outbox.append(here)
        async with opened() as dying:
            await dying.append(adopted)
            assert len(list((tmp_path / "host" / OUTBOX_FOLDER).glob("*.db"))) == 2
        files = (tmp_path / "host" / OUTBOX_FOLDER).glob
        await until(lambda: asyncio.sleep(0, len(list(files("*.db"))) == 1))
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)
        store.is_away = False
        await until_stored(store, an_interaction(1))


async def test_a_full_outbox_admits_nothing_until_there_is_room(
    opened: Opened, store: UnreliableStore
) -> None:
    async def is_admitted(outbox: Outbox) -> bool:
        try:
            outbox.admit()
        except HistoryUnavailable:
            return False
        return True

    for start, bound in ((0, {"max_rows": 3}), (100, {"max_bytes": 500})):
        store.is_away = True
        async with opened(**bound) as outbox:
            assert await is_admitted(outbox)
            for number in range(start, start + 3):
                await outbox.append(an_interaction(number))
            await until(lambda outbox=outbox: _not(is_admitted(outbox)))
            await outbox.append(an_interaction(start + 9))  # who was admitted is kept nevertheless
            store.is_away = False
            await until(lambda outbox=outbox: is_admitted(outbox))


async def _not(answer: Awaitable[bool]) -> bool:
    return not await answer


async def test_what_was_delivered_long_ago_is_read_from_the_store(
    opened: Opened, store: UnreliableStore
) -> None:
    kept = [an_interaction(number) for number in range(700)]
    async with opened(keep_delivered_seconds=0.0) as outbox:
        await outbox.append_many(kept)
        await until_stored(store, *kept)
        host = outbox._parts.reading._host
        await until(lambda: _not(_has_any(host.search(asking()))))
        assert await walk(outbox, asking(order=Order.ASC)) == kept
        assert await outbox.find("ana", an_id(5)) == kept[5]


async def _has_any(searching: Awaitable[Any]) -> bool:
    return bool((await searching).interactions)


async def test_what_is_not_delivered_is_never_dropped(
    opened: Opened, store: UnreliableStore
) -> None:
    store.is_away = True
    async with opened(keep_delivered_seconds=0.0) as outbox:
        await outbox.append(an_interaction(1))
        for _ in range(3):
            await outbox._parts.housekeeping()
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)


async def test_a_row_the_store_refuses_is_set_aside_and_tried_at_the_next_start(
    opened: Opened, store: UnreliableStore, caplog: pytest.LogCaptureFixture
) -> None:
    everything = [an_interaction(number) for number in range(20)]
    store.refused = {an_id(7), an_id(13)}
    async with opened() as outbox:
        await outbox.append_many(everything)
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        assert await stored(store) == [one for one in everything if one.id not in store.refused]
        assert await outbox.find("ana", an_id(7)) == everything[7]
        await until(lambda: asyncio.sleep(0, outbox.backlog().rows == 0))
        assert sum("set aside" in record.message for record in caplog.records) == 2
    store.refused = set()
    async with opened():
        await until_stored(store, *everything)


@pytest.mark.seen("D1")
async def test_what_was_set_aside_is_shown_with_its_reason_takes_no_room_and_can_be_dropped_by_erasing_it(
    opened: Opened, store: UnreliableStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.refused = {an_id(1), an_id(2), an_id(3)}
    async with opened(max_rows=3) as outbox:
        await outbox.append_many([an_interaction(number) for number in range(1, 4)])
        await until(lambda: asyncio.sleep(0, outbox.set_aside().rows == 3))
        outbox.admit()
        (shown,) = outbox.degraded()
        assert (shown.component, shown.reason) == ("outbox", "interactions are set aside")
        assert shown.since_milliseconds == outbox.set_aside().since_milliseconds is not None
        (path,) = (tmp_path / "host" / OUTBOX_FOLDER).glob("*.db")
        reader = open_reader(path)
        found = reader.execute(
            "SELECT user_id, id, reason FROM interaction JOIN refused USING (seq)"
            " JOIN refusal USING (seq) ORDER BY id"
        ).fetchall()
        reader.close()
        assert found == [("ana", an_id(number), "the store refuses it") for number in range(1, 4)]
        messages = [record.message for record in caplog.records if "set aside" in record.message]
        assert len(messages) == 3
        assert all("question" not in message and "answer" not in message for message in messages)
        assert count_waiting(path.parent) == 3, "a migration must not leave it behind"

        for number in range(1, 4):
            await outbox.erase("ana", an_id(number))
        await until(lambda: asyncio.sleep(0, outbox.set_aside().rows == 0))
        assert outbox.degraded() == []


@pytest.mark.seen("D1")
@pytest.mark.parametrize("kind", ["failing", "breaking"])
async def test_a_row_that_fails_for_no_known_reason_holds_up_no_other_and_is_set_aside_in_the_end(
    opened: Opened, store: UnreliableStore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "DEFERRED_SECONDS", 0.01)
    monkeypatch.setattr(relay, "pause_seconds", lambda _: 0.01)
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(background, "LONGEST_PAUSE_SECONDS", 0.01)
    everything = [an_interaction(number) for number in range(600)]
    bad = {an_id(0), an_id(300), an_id(599)}
    setattr(store, kind, bad)
    async with opened() as outbox:
        await outbox.append_many(everything)
        count = len(everything)
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while outbox.set_aside().rows < len(bad):
                await outbox.append(
                    an_interaction(count)
                )  # there is always another to compare with
                count += 1
                await asyncio.sleep(0.02)
        assert await outbox.drain(seconds=PATIENCE_SECONDS)
        kept = {one.id for one in await stored(store)}
        assert kept == {an_id(number) for number in range(count)} - bad
        assert outbox.backlog().rows == 0


@pytest.mark.seen("D1")
async def test_an_outage_sets_nothing_aside_however_long_it_lasts(
    opened: Opened, store: UnreliableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "pause_seconds", lambda _: 0.001)
    everything = [an_interaction(number) for number in range(120)]
    async with opened() as outbox:
        for first in (0, 40, 80):
            store.is_away = True
            await outbox.append_many(everything[first : first + 40])
            await until(lambda: _has_tried_often(store))
            store.is_away = False
            assert await outbox.drain(seconds=PATIENCE_SECONDS)
            store.batches.clear()
        assert await stored(store) == everything
        assert outbox.set_aside().rows == 0


async def _has_tried_often(store: UnreliableStore) -> bool:
    return len(store.batches) > 200


@pytest.mark.seen("F7")
async def test_a_large_outbox_left_behind_is_taken_over_after_the_start(
    opened: Opened, store: UnreliableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_adopt, adopt_all = asyncio.Event(), outbox_housekeeping.adopt_all

    async def adopt_later(*arguments: Any, **keywords: Any) -> None:
        await may_adopt.wait()
        await adopt_all(*arguments, **keywords)

    store.is_away = True
    async with opened(), opened() as dying:
        await dying.append(an_interaction(1))
    store.is_away = False
    monkeypatch.setattr(outbox_housekeeping, "adopt_all", adopt_later)
    async with asyncio.timeout(PATIENCE_SECONDS), opened(), opened() as outbox:
        await outbox.append(an_interaction(2))
        assert await outbox.find("ana", an_id(1)) == an_interaction(1)
        may_adopt.set()
        await until_stored(store, an_interaction(1), an_interaction(2))


@pytest.mark.parametrize("error", [RuntimeError("a bug of the driver"), asyncio.CancelledError()])
async def test_a_relay_that_fails_unexpectedly_says_so_and_goes_on(
    opened: Opened, store: UnreliableStore, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    store.error = error
    async with opened() as outbox:
        await outbox.append(an_interaction(1))
        await until(lambda: asyncio.sleep(0, outbox.relay_failures() >= 2))
        assert [(one.component, one.reason) for one in outbox.degraded()] == [
            ("outbox relay", "fails unexpectedly")
        ]
        assert "a background task failed and is restarted" in caplog.text

        store.error = None
        await until_stored(store, an_interaction(1))
        await until(lambda: asyncio.sleep(0, outbox.degraded() == []))


async def test_a_row_that_cannot_be_read_holds_up_no_other(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        newer = f'{{"v":2,"id":"{an_id(1)}","userId":"bob","model":"m","status":"completed"}}'
        await outbox._parts.file.commits.submit(Append((newer,)))
        await outbox.append(an_interaction(2))
        await until_stored(store, an_interaction(2))
        await until(lambda: asyncio.sleep(0, outbox.backlog().rows == 0))


async def test_closing_delivers_what_it_can(opened: Opened, store: UnreliableStore) -> None:
    async with opened(drain_seconds=PATIENCE_SECONDS) as outbox:
        for number in range(50):
            await outbox.append(an_interaction(number))
    assert len(await stored(store)) == 50


@pytest.mark.realtime
async def test_closing_does_not_wait_for_a_store_that_is_away(
    opened: Opened, store: UnreliableStore
) -> None:
    store.is_away = True
    started = time.monotonic()
    async with opened(drain_seconds=0.2) as outbox:
        await outbox.append(an_interaction(1))
        assert not await outbox.drain(seconds=0.1)
    assert time.monotonic() - started < 10.0


async def test_its_folder_is_private(opened: Opened, tmp_path: Path) -> None:
    async with opened() as outbox:
        await outbox.append(an_interaction(1))
        folder = tmp_path / "host" / OUTBOX_FOLDER
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_pauses_grow_to_a_limit() -> None:
    pauses = [[pause_seconds(failures) for _ in range(50)] for failures in (1, 2, 5, 50)]

    assert max(pauses[0]) <= 0.2
    assert min(pauses[1]) >= 0.2
    assert max(pauses[3]) <= LONGEST_PAUSE_SECONDS
    assert len(set(pauses[3])) > 1


async def test_conversations_hold_what_was_just_said(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        for number in range(30):
            await outbox.append(an_interaction(number, conversation_id=f"c{number % 2}"))
            page = await outbox.conversations(ConversationQuery(user_id="ana"))
            assert sum(one.turns for one in page.conversations) == number + 1


async def test_conversations_need_the_store(opened: Opened, store: UnreliableStore) -> None:
    store.is_away = True
    async with opened(read_seconds=0.3) as outbox:
        with pytest.raises(HistoryUnreadable):
            await outbox.conversations(ConversationQuery(user_id="ana"))
        await outbox.append(an_interaction(1, conversation_id="c"))
        with pytest.raises(HistoryUnreadable):
            await outbox.conversations(ConversationQuery(user_id="ana"))
        assert outbox._parts.relay.next_try().cancelled() is False
        store.is_away = False
        await until_stored(store, an_interaction(1, conversation_id="c"))

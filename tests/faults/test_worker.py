"""The worker: between a queue that repeats itself and a store that comes and goes."""

import asyncio
import base64
import json
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.worker import Worker
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from domain.use_cases.record_interaction import RecordInteraction
from infra.clock import SystemClock
from infra.history.format.documents import document_of
from infra.history.sqlite.store import open_sqlite
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.contracts.sqs_queues import QueueHarness, open_queue_harness
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.queue_observer import RecordingQueueObserver
from tests.fakes.unreliable_store import UnreliableStore
from tests.support.aws_emulator import AwsEmulator, pausable_emulator, shared_emulator

PATIENT_SECONDS = 120.0


class HurriedClock(SystemClock):
    """Sleeps a quarter of what it is asked to, so that pauses are short and messages held often."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 4)


@dataclass(slots=True)
class Working:
    """A worker at work, and all around it."""

    harness: QueueHarness
    store: UnreliableStore
    observer: RecordingQueueObserver
    worker: Worker
    running: asyncio.Task[None]

    async def stop(self) -> None:
        self.worker.stop()
        await self.running

    async def kept(self) -> list[Interaction]:
        return await walk(self.store.behind, asking(order=Order.ASC, statuses=EVERY_STATUS))

    async def is_done(self) -> bool:
        return (await self.harness.depths())[0] == 0


@asynccontextmanager
async def working(
    folder: Path, emulator: AwsEmulator, *, hold_seconds: int = 60
) -> AsyncIterator[Working]:
    """A worker between an emulator's queue and an embedded store."""
    clock = SystemClock()
    async with (
        open_queue_harness(emulator, hold_seconds=hold_seconds) as harness,
        open_sqlite(folder, clock=clock, read_seconds=10.0, min_free_disk_bytes=0) as behind,
    ):
        store, observer = UnreliableStore(behind), RecordingQueueObserver()
        worker = Worker(
            RecordInteraction(harness.queue, store, clock, observer), harness.queue, HurriedClock()
        )
        running = asyncio.create_task(worker.run())
        try:
            yield Working(harness, store, observer, worker, running)
        finally:
            store.may_write.set()
            worker.stop()
            await running


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_what_is_queued_is_stored_and_taken_off_the_queue(tmp_path: Path) -> None:
    everything = [an_interaction(number) for number in range(35)]
    async with working(tmp_path, shared_emulator()) as at_work:
        await at_work.harness.send(*everything)
        await until(at_work.is_done)

        assert await at_work.kept() == everything
        assert len(at_work.observer.lags_seconds) == 35
        assert all(0 <= lag < PATIENT_SECONDS for lag in at_work.observer.lags_seconds)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.faults)])
async def test_what_comes_several_times_and_in_any_order_is_stored_once(
    tmp_path: Path, count: int
) -> None:
    chance = random.Random(count)
    everything = [an_interaction(number) for number in range(count)]
    messages = [one for one in everything for _ in range(chance.randint(1, 5))]
    chance.shuffle(messages)
    async with working(tmp_path, shared_emulator()) as at_work:
        await at_work.harness.send(*messages)
        async with asyncio.timeout(PATIENT_SECONDS + count / 10):
            while not await at_work.is_done():
                await asyncio.sleep(0.1)

        assert await at_work.kept() == everything
        assert await at_work.harness.depths() == (0, 0)


def poison(number: int) -> tuple[str, str]:
    """Return a message that can never be stored, and why."""
    bomb = base64.b64encode(zlib.compress(b" " * 9_000_000)).decode()
    return [
        ('{"v": 1, "interaction": {', "not JSON"),
        (json.dumps({"v": 99}), "not of a version this program knows"),
        (json.dumps({"v": 1, "interaction": {"id": number}}), "not an interaction"),
        (json.dumps({"v": 2, "zlib": bomb}), "too long"),
    ][number % 4]


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.faults)])
async def test_poison_is_buried_with_its_reason_and_holds_up_nobody(
    tmp_path: Path, count: int
) -> None:
    good = [an_interaction(number) for number in range(count)]
    bad = [poison(number) for number in range(count // 50)]
    mixed = [*good, *(body for body, _ in bad)]
    random.Random(1).shuffle(mixed)
    async with working(tmp_path, shared_emulator()) as at_work:
        await at_work.harness.send(*mixed)
        await until(at_work.is_done)

        assert await at_work.kept() == good
        assert await at_work.harness.depths() == (0, len(bad))
        buried = await at_work.harness.received(at_work.harness.names.dead_letter_url, len(bad))
        assert sorted(
            (one["Body"], one["MessageAttributes"]["reason"]["StringValue"]) for one in buried
        ) == sorted(bad)
        assert at_work.observer.buried.total() == len(bad)


async def test_old_and_new_messages_are_stored_side_by_side(tmp_path: Path) -> None:
    def packed(interaction: Interaction) -> str:
        raw = zlib.compress(json.dumps(document_of(interaction)).encode())
        return json.dumps({"v": 2, "id": "", "zlib": base64.b64encode(raw).decode()})

    everything = [an_interaction(number) for number in range(40)]
    async with working(tmp_path, shared_emulator()) as at_work:
        await at_work.harness.send(
            *(packed(one) if number % 2 else one for number, one in enumerate(everything))
        )
        await until(at_work.is_done)

        assert await at_work.kept() == everything
        assert await at_work.harness.depths() == (0, 0)


async def test_what_the_store_refuses_is_buried_and_its_neighbours_are_kept(
    tmp_path: Path,
) -> None:
    async with working(tmp_path, shared_emulator()) as at_work:
        at_work.store.refused = {an_id(3), an_id(4)}
        await at_work.harness.send(*(an_interaction(number) for number in range(10)))
        await until(at_work.is_done)

        assert [one.id for one in await at_work.kept()] == [
            an_id(n) for n in range(10) if n not in {3, 4}
        ]
        assert at_work.observer.buried == {"the store refuses it": 2}
        assert (await at_work.harness.depths())[1] == 2


@pytest.mark.seen("D1")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("failing", "it fails while others are kept"),
        ("breaking", "storing it fails unexpectedly"),
    ],
)
async def test_a_message_that_fails_for_no_known_reason_holds_up_no_other_and_is_buried_in_the_end(
    tmp_path: Path, kind: str, reason: str
) -> None:
    async with working(tmp_path, shared_emulator(), hold_seconds=1) as at_work:
        setattr(at_work.store, kind, {an_id(3)})
        count = 0

        async def is_buried() -> bool:
            nonlocal count
            count += 1
            await at_work.harness.send(an_interaction(100 + count))
            await asyncio.sleep(0.2)
            return at_work.observer.buried.total() == 1

        await at_work.harness.send(*(an_interaction(number) for number in range(10)))
        await until(is_buried)
        await until(at_work.is_done)

        kept = [one.id for one in await at_work.kept()]
        assert kept == [
            *(an_id(number) for number in range(10) if number != 3),
            *(an_id(101 + number) for number in range(count)),
        ]
        assert at_work.observer.buried == {reason: 1}
        assert not at_work.running.done()


@pytest.mark.seen("F9")
async def test_told_to_stop_while_it_waits_it_gives_back_at_once_what_still_comes(
    tmp_path: Path,
) -> None:
    async with (
        open_queue_harness(shared_emulator(), wait_seconds=10) as harness,
        open_sqlite(
            tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
        ) as store,
    ):
        record = RecordInteraction(harness.queue, store, SystemClock(), RecordingQueueObserver())
        worker = Worker(record, harness.queue, SystemClock(), receivers=1)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)  # until its receive waits at the queue
        worker.stop()
        await harness.send(an_interaction(1))
        await running

        assert len(await harness.received(harness.names.queue_url, 1)) == 1
        assert await store.find("ana", an_id(1)) is None


async def test_what_was_erased_meanwhile_is_not_stored(tmp_path: Path) -> None:
    async with working(tmp_path, shared_emulator()) as at_work:
        await at_work.store.behind.erase("ana", an_id(1))
        await at_work.harness.send(*(an_interaction(number) for number in range(3)))
        await until(at_work.is_done)

        assert [one.id for one in await at_work.kept()] == [an_id(0), an_id(2)]


async def test_while_the_store_is_away_nothing_is_received(tmp_path: Path) -> None:
    emulator = shared_emulator()
    async with working(tmp_path, emulator, hold_seconds=3) as at_work:
        at_work.store.is_away = True
        await at_work.harness.send(*(an_interaction(number) for number in range(200)))
        await until(lambda: _tried(at_work, 6))
        # Longer than a message is held: without holding on to it, it would have come again.
        await asyncio.sleep(4)
        tried = {interaction_id for batch in at_work.store.batches for interaction_id in batch}
        assert len(tried) <= 80, "one batch for each receiver, and a few more to compare with"
        assert {len(batch) for batch in at_work.store.batches[4:]} == {1}, "one after the other"

        at_work.store.is_away = False
        await until(at_work.is_done)
        assert len(await at_work.kept()) == 200
        assert await at_work.harness.depths() == (0, 0)


async def _tried(at_work: Working, times: int) -> bool:
    return len(at_work.store.batches) >= times


async def test_what_waits_for_a_slow_store_is_given_to_nobody_else(tmp_path: Path) -> None:
    async with working(tmp_path, shared_emulator(), hold_seconds=3) as at_work:
        at_work.store.may_write.clear()
        await at_work.harness.send(an_interaction(1))
        await at_work.store.has_batch.wait()
        await asyncio.sleep(4)
        at_work.store.may_write.set()
        await until(at_work.is_done)

        assert at_work.store.batches == [[an_id(1)]]


async def test_told_to_stop_it_finishes_what_is_in_hand(tmp_path: Path) -> None:
    async with working(tmp_path, shared_emulator()) as at_work:
        at_work.store.may_write.clear()
        await at_work.harness.send(*(an_interaction(number) for number in range(10)))
        await at_work.store.has_batch.wait()
        at_work.worker.stop()
        await asyncio.sleep(0)
        at_work.store.may_write.set()
        await at_work.running

        assert await at_work.harness.depths() == (10 - len(await at_work.kept()), 0)
        assert len(await at_work.kept()) == sum(len(batch) for batch in at_work.store.batches) > 0


async def test_told_to_stop_while_the_store_is_away_it_gives_back_what_is_in_hand(
    tmp_path: Path,
) -> None:
    async with working(tmp_path, shared_emulator()) as at_work:
        at_work.store.is_away = True
        await at_work.harness.send(*(an_interaction(number) for number in range(25)))
        await until(lambda: _tried(at_work, 5))
        await at_work.stop()

        assert len(await at_work.harness.received(at_work.harness.names.queue_url, 25)) == 25
        assert await at_work.harness.depths() == (25, 0)


async def test_a_queue_that_goes_away_is_received_from_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    with pausable_emulator() as emulator:
        async with working(tmp_path, emulator) as at_work:
            await at_work.harness.send(an_interaction(1))
            await until(at_work.is_done)
            emulator.pause()
            await asyncio.sleep(1)
            emulator.resume()
            await at_work.harness.send(an_interaction(2))
            await until(at_work.is_done)

            assert [one.id for one in await at_work.kept()] == [an_id(1), an_id(2)]

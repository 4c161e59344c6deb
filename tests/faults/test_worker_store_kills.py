"""The worker's own MongoDB killed again and again while it writes: what left the queue is in the store."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pymongo
import pytest

from tests.contracts.sqs_queues import QueueHarness, open_queue_harness
from tests.fakes.interactions import an_id, an_interaction
from tests.faults.ledger_scenario import MONGO_DB, RecordProperty, report_figures, until
from tests.support.aws_emulator import shared_emulator
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import watched_worker

PER_SECOND = 500
HOLD_SECONDS = 5
BATCH = 10
SENDERS = 4


class Feeding:
    """Puts interactions on a queue at a rate, whatever becomes of them."""

    def __init__(self, harness: QueueHarness) -> None:
        self.sent = 0
        self._rig = harness
        self._numbers = itertools.count()
        self._tasks = [asyncio.create_task(self._send()) for _ in range(SENDERS)]

    async def stop(self) -> None:
        """Send no more, and return once what was begun is sent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _send(self) -> None:
        started = time.monotonic()
        for batch in itertools.count(1):
            some = [an_interaction(next(self._numbers), text="answer " * 20) for _ in range(BATCH)]
            sending = asyncio.ensure_future(self._rig.send(*some))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                await sending
                self.sent += BATCH
                raise
            self.sent += BATCH
            await asyncio.sleep(started + batch * BATCH * SENDERS / PER_SECOND - time.monotonic())


@asynccontextmanager
async def working(folder: Path, settings: dict[str, str]) -> AsyncIterator[None]:
    running = watched_worker(folder / "worker", settings)
    await asyncio.to_thread(running.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.faults)])
async def test_what_left_the_queue_is_in_a_store_that_was_killed(
    tmp_path: Path, kills: int, record_property: RecordProperty
) -> None:
    need_mongod()
    server, emulator = Mongod(tmp_path / "mongod"), shared_emulator()
    await asyncio.to_thread(server.start)
    try:
        async with open_queue_harness(emulator, hold_seconds=HOLD_SECONDS) as harness:
            settings = {
                "AWS_ENDPOINT_URL": emulator.url,
                "AWS_EMULATOR": "true",
                "SQS_QUEUE_URL": harness.names.queue_url,
                "MONGO_URI": server.uri,
                "MONGO_DB": f"{MONGO_DB}-{secrets.token_hex(4)}",
            }
            async with working(tmp_path, settings):
                feeding = Feeding(harness)
                started = time.monotonic()
                for _ in range(kills):
                    await asyncio.sleep(1.5)
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                await asyncio.sleep(1.0)
                await feeding.stop()
                fed_seconds = time.monotonic() - started

                async def is_empty() -> bool:
                    return (await harness.depths())[0] == 0

                await until(is_empty)
                written_seconds = time.monotonic() - started
            waiting, dead = await harness.depths()
        with pymongo.MongoClient[dict[str, object]](server.uri) as client:
            stored = set(client[settings["MONGO_DB"]]["interactions"].distinct("_id"))
    finally:
        await asyncio.to_thread(server.kill)
    missing = {an_id(number) for number in range(feeding.sent)} - stored
    report_figures(
        f"mongod killed {kills} times while the worker wrote: {feeding.sent} sent at {feeding.sent / fed_seconds:.0f} "
        f"a second, all written after {written_seconds:.0f} s; {len(missing)} missing, {dead} dead letters",
        record_property,
    )
    assert (waiting, dead) == (0, 0)
    assert missing == set()
    assert len(stored) == feeding.sent

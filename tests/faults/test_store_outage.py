"""MongoDB away under load: everything is accepted, nothing is lost, and it is caught up soon after."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.exceptions import HistoryUnreadable
from infra.clock import SystemClock
from infra.history.mongo.store import MongoHistory, open_mongo
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from tests.contracts.history_walks import asking, walk
from tests.fakes.interactions import an_id, an_interaction
from tests.support.mongod import Mongod, need_mongod

# Reads during the outage have an upper bound of time.
pytestmark = pytest.mark.realtime

RATE = 100
AWAY_SECONDS = 30.0
CATCH_UP_SECONDS = 60.0
LONGEST_READ_SECONDS = 10.0
"""Of 2.5 s, on a busy machine; the driver left alone waits for 30 s and more."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongod]:
    need_mongod()
    server = Mongod(tmp_path / "mongod")
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def opened(server: Mongod, folder: Path) -> AsyncIterator[tuple[Outbox, MongoHistory]]:
    async with (
        open_mongo(server.uri, database="rt", clock=SystemClock(), read_seconds=2.5) as store,
        open_outbox(
            folder / "host",
            store=store,
            clock=SystemClock(),
            read_seconds=2.5,
            min_free_disk_bytes=0,
        ) as outbox,
    ):
        yield outbox, store


class Load:
    """Appends at a constant rate until it is stopped."""

    def __init__(self, outbox: Outbox) -> None:
        self.accepted = 0
        self._outbox = outbox
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._outbox.admit()
            await self._outbox.append(an_interaction(self.accepted))
            self.accepted += 1
            await asyncio.sleep(1 / RATE)


async def verify(outbox: Outbox, store: MongoHistory, accepted: int) -> None:
    assert await outbox.drain(seconds=CATCH_UP_SECONDS), "not caught up in time"
    for history in (outbox, store):
        found = await walk(history, asking())
        # One more may have been on its way when the load was stopped.
        assert [one.id for one in found][-accepted:] == [an_id(n) for n in range(accepted)][::-1]
        assert len(found) <= accepted + 1


@pytest.mark.faults  # the short sibling is that of the whole service, in test_ledger_outage.py
async def test_an_outage_costs_nothing(server: Mongod, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as (outbox, store):
        load = Load(outbox)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.stop)
        until = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            number = load.accepted
            await outbox.append(an_interaction(1_000_000 + number, user_id="bob"))
            assert await outbox.find("bob", an_id(1_000_000 + number)) is not None
            started = time.monotonic()
            with pytest.raises(HistoryUnreadable):
                await outbox.search(asking())
            assert time.monotonic() - started < LONGEST_READ_SECONDS
        during = load.accepted
        await asyncio.to_thread(server.start)
        await asyncio.sleep(0.5)
        await load.stop()
        assert during > 0
        await verify(outbox, store, load.accepted)
        assert outbox.degraded() == []


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.faults)])
async def test_a_server_killed_again_and_again_costs_nothing(
    server: Mongod, tmp_path: Path, kills: int
) -> None:
    async with opened(server, tmp_path) as (outbox, store):
        load = Load(outbox)
        for _ in range(kills):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await load.stop()
        await verify(outbox, store, load.accepted)


async def test_a_server_that_hangs_costs_nothing(server: Mongod, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as (outbox, store):
        load = Load(outbox)
        await asyncio.sleep(0.5)
        server.pause()
        await asyncio.sleep(1.0)
        started = time.monotonic()
        with pytest.raises(HistoryUnreadable):
            await outbox.search(asking())
        assert time.monotonic() - started < LONGEST_READ_SECONDS
        server.resume()
        await load.stop()
        await verify(outbox, store, load.accepted)

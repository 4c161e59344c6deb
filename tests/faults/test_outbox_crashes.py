"""What an outbox accepted reaches the store once, whoever is killed."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient

from domain.entities.interaction import Interaction
from infra.history.sqlite.outbox.outbox import Outbox
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.interactions import an_interaction
from tests.faults.outbox_process import MONGO_DATABASE, outbox_in
from tests.support.mongod import Mongod, need_mongod

ROOT = Path(__file__).parents[2]
DRAIN_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
RUN = 1_000_000
"""Each process counts from its own multiple of this."""


class Accepting:
    """A process that accepts; its ledger is what it said it accepted."""

    def __init__(self, host: Path, store: str, *, run: int, options: tuple[str, ...] = ()) -> None:
        self.accepted: list[int] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.outbox_process", str(host), store),
                *("--first", str(run * RUN), *options),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )

    def hear(self, count: int) -> None:
        """Return once so many were accepted."""
        assert self.process.stdout is not None
        while len(self.accepted) < count:
            line = self.process.stdout.readline()
            assert line, f"ended by itself after {len(self.accepted)}"
            if line != b"all\n":
                self.accepted.append(int(line))

    def kill(self) -> None:
        """Kill it as the kernel would, and hear what it still had said."""
        assert self.process.stdout is not None
        self.process.kill()
        *whole, _ = self.process.stdout.read().split(b"\n")
        self.accepted += [int(line) for line in whole if line != b"all"]
        self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()


@contextmanager
def ending(processes: list[Accepting]) -> Iterator[None]:
    """Leave none of these running."""
    try:
        yield
    finally:
        for one in processes:
            if one.process.poll() is None:
                one.kill()


def expected(number: int) -> Interaction:
    return an_interaction(number, text=f"answer {number} " * 50)


async def verify(outbox: Outbox, accepted: list[int]) -> None:
    """Compare the ledger with the history that is read and with what is in the store."""
    assert await outbox.drain(seconds=DRAIN_SECONDS), "not drained in time"
    store = outbox._parts.store
    for history in (store, outbox):
        found = await walk(history, asking(statuses=EVERY_STATUS))
        times = Counter(one.id for one in found)
        assert set(times.values()) <= {1}, "twice"
        by_id = {one.id: one for one in found}
        missing = [
            number for number in accepted if by_id.get(expected(number).id) != expected(number)
        ]
        assert missing == []


async def kill_again_and_again(folder: Path, *, kills: int) -> None:
    host, store = folder / "host", folder / "store"
    accepted: list[int] = []
    for run in range(kills):
        options = ("--stalled",) if run % 2 == 0 else ()
        process = Accepting(host, str(store), run=run, options=options)
        with ending([process]):
            await asyncio.to_thread(process.hear, 300)
            process.kill()
        accepted += process.accepted
    assert len(accepted) >= 300 * kills
    async with outbox_in(host, str(store)) as outbox:
        await verify(outbox, accepted)


async def test_a_killed_process_loses_nothing_it_accepted(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, kills=3)


@pytest.mark.faults
async def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, kills=20)


@pytest.mark.faults  # the short sibling is that of whole services, in test_ledger_processes.py
async def test_living_processes_deliver_for_one_that_was_killed_while_the_store_was_away(
    tmp_path: Path,
) -> None:
    need_mongod()
    server = Mongod(tmp_path / "mongod")
    processes = [
        Accepting(tmp_path / "host", server.uri, run=run, options=("--count", "400"))
        for run in range(3)
    ]
    with ending(processes):
        for process in processes:
            await asyncio.to_thread(process.hear, 400)
        processes[0].kill()
        await asyncio.to_thread(server.start)
        try:
            accepted = [number for process in processes for number in process.accepted]
            with MongoClient[dict[str, object]](server.uri) as client:
                interactions = client[MONGO_DATABASE]["interactions"]
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while interactions.count_documents({}) < len(accepted):
                        await asyncio.sleep(0.1)
                found = {str(one["_id"]) for one in interactions.find({}, {"_id": 1})}
            assert found == {expected(number).id for number in accepted}
        finally:
            server.kill()
    assert len(accepted) == 1200

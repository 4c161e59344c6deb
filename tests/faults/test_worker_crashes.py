"""Worker processes killed, stopped, and left without a store: nothing is lost, nothing is a dead letter."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from infra.clock import SystemClock
from infra.history.dynamodb import DynamoHistory, open_dynamo
from tests.aws_emulator import AwsEmulator, shared_emulator
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.contracts.sqs_queues import Rig, open_rig
from tests.fakes.interactions import an_interaction

ROOT = Path(__file__).parents[2]
PATIENT_SECONDS = 300.0
HOLD_SECONDS = 5


@dataclass(slots=True)
class Pipeline:
    """A queue in one emulator, a table in another: each may be away without the other."""

    rig: Rig
    store: AwsEmulator
    table: str
    history: DynamoHistory

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.worker_process"),
                *("--queue", self.rig.names.queue_url),
                *("--sqs", str(self.rig.access.endpoint_url)),
                *("--table", self.table, "--dynamodb", self.store.url),
                *("--hold-seconds", str(HOLD_SECONDS)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"working\n"
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            process.stdout.close()

    async def kept(self) -> list[Interaction]:
        return await walk(self.history, asking(order=Order.ASC, statuses=EVERY_STATUS))

    async def drain(self) -> None:
        async with asyncio.timeout(PATIENT_SECONDS):
            while (await self.rig.depths())[0]:
                await asyncio.sleep(0.1)


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    async with open_pipeline() as pipeline:
        yield pipeline


@asynccontextmanager
async def open_pipeline() -> AsyncIterator[Pipeline]:
    store, table = AwsEmulator(), f"history-{secrets.token_hex(8)}"
    try:
        async with (
            open_rig(shared_emulator(), hold_seconds=HOLD_SECONDS) as rig,
            open_dynamo(
                store.access, table=table, clock=SystemClock(), read_seconds=20.0
            ) as history,
        ):
            yield Pipeline(rig, store, table, history)
    finally:
        store.end()


def some(count: int) -> list[Interaction]:
    return [an_interaction(number, text=f"answer {number} " * 50) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "kills"), [(300, 3), pytest.param(5000, 20, marks=pytest.mark.faults)]
)
async def test_a_worker_killed_in_mid_batch_loses_and_doubles_nothing(
    pipeline: Pipeline, count: int, kills: int
) -> None:
    everything = some(count)
    await pipeline.rig.send(*everything)
    for kill in range(kills):
        is_stalled = kill % 2 == 0
        if is_stalled:
            pipeline.store.pause()  # else a fast store would hide what is acknowledged too soon
        with pipeline.worker() as process:
            await asyncio.sleep(1.0 if is_stalled else 0.1)
            process.kill()
        if is_stalled:
            pipeline.store.resume()
    with pipeline.worker():
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.rig.depths() == (0, 0)


async def test_several_workers_share_the_work(pipeline: Pipeline) -> None:
    everything = some(400)
    with pipeline.worker(), pipeline.worker(), pipeline.worker():
        await pipeline.rig.send(*everything)
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.rig.depths() == (0, 0)


async def test_sigterm_lets_it_finish_and_exit_with_0(pipeline: Pipeline) -> None:
    everything = some(200)
    with pipeline.worker() as process:
        await pipeline.rig.send(*everything)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    waiting, dead = await pipeline.rig.depths()
    kept = await pipeline.kept()

    assert dead == 0
    assert waiting + len(kept) == 200, "what is stored is off the queue, the rest is on it"
    with pipeline.worker() as process:
        await pipeline.drain()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert await pipeline.kept() == everything


@pytest.mark.parametrize(
    "away_seconds", [20, pytest.param(12 * HOLD_SECONDS + 60, marks=pytest.mark.faults)]
)
async def test_a_store_that_is_away_makes_no_dead_letters(
    pipeline: Pipeline, away_seconds: int
) -> None:
    everything = some(200)
    with pipeline.worker():
        pipeline.store.pause()
        await pipeline.rig.send(*everything)
        await asyncio.sleep(away_seconds)
        assert (await pipeline.rig.depths())[1] == 0
        pipeline.store.resume()
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.rig.depths() == (0, 0)


async def test_a_worker_that_starts_while_the_store_is_away_works_once_it_is_back(
    pipeline: Pipeline,
) -> None:
    everything = some(30)
    await pipeline.rig.send(*everything)
    pipeline.store.pause()
    with pipeline.worker():
        await asyncio.sleep(1)
        pipeline.store.resume()
        await pipeline.drain()

    assert await pipeline.kept() == everything

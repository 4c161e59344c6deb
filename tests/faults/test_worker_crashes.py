"""Worker processes killed, stopped, and left without a store: nothing is lost, nothing is a dead letter."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from infra.history.dynamodb.store import DynamoHistory
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.contracts.sqs_queues import QueueHarness, open_queue_harness
from tests.fakes.gate import Gate, open_gate
from tests.fakes.interactions import an_interaction
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack

ROOT = Path(__file__).parents[2]
PATIENT_SECONDS = 300.0
HOLD_SECONDS = 5
AWAY_SECONDS = 24 * HOLD_SECONDS
"""More than twice as long as ten receives would take, after which the queue gives a message up."""


@dataclass(slots=True)
class Pipeline:
    """A queue, and a table that workers reach through a gate."""

    harness: QueueHarness
    gate: Gate
    table: str
    history: DynamoHistory
    hold_seconds: int = HOLD_SECONDS

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.worker_process"),
                *("--queue", self.harness.names.queue_url),
                *("--sqs", str(self.harness.access.endpoint_url)),
                *("--table", self.table, "--dynamodb", self.gate.url),
                *("--hold-seconds", str(self.hold_seconds)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            assert await asyncio.to_thread(process.stdout.readline) == b"working\n"
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
            while (await self.harness.depths())[0]:
                await asyncio.sleep(0.1)


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    emulator = shared_emulator()
    stack = deploy_data_stack(emulator)
    async with (
        open_gate(emulator.port) as gate,
        open_queue_harness(emulator, stack.queues, hold_seconds=HOLD_SECONDS) as harness,
        open_table(emulator.access, stack.table, read_seconds=20.0) as history,
    ):
        yield Pipeline(harness, gate, stack.table, history)


def some(count: int) -> list[Interaction]:
    return [an_interaction(number, text=f"answer {number} " * 50) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "kills"), [(200, 2), pytest.param(5000, 20, marks=pytest.mark.faults)]
)
async def test_a_worker_killed_in_mid_batch_loses_and_doubles_nothing(
    pipeline: Pipeline, count: int, kills: int
) -> None:
    everything = some(count)
    if kills > 10:
        # as long as it takes for none to be received, and to die with its worker, as often as makes a dead letter
        pipeline.hold_seconds = 30
    await pipeline.harness.send(*everything)
    for kill in range(kills):
        is_stalled = kill % 2 == 0  # a fast store would hide what is acknowledged too soon
        pipeline.gate.is_open = not is_stalled
        async with pipeline.worker() as process:
            await asyncio.sleep(1.0 if is_stalled else 0.1)
            process.kill()
        pipeline.gate.is_open = True
    async with pipeline.worker():
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.harness.depths() == (0, 0)


@pytest.mark.faults
async def test_several_workers_share_the_work(pipeline: Pipeline) -> None:
    everything = some(400)
    async with pipeline.worker(), pipeline.worker(), pipeline.worker():
        await pipeline.harness.send(*everything)
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.harness.depths() == (0, 0)


async def test_sigterm_lets_it_finish_and_exit_with_0(pipeline: Pipeline) -> None:
    everything = some(200)
    async with pipeline.worker() as process:
        await pipeline.harness.send(*everything)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    waiting, dead = await pipeline.harness.depths()
    kept = await pipeline.kept()

    assert dead == 0
    assert waiting + len(kept) == 200, "what is stored is off the queue, the rest is on it"
    async with pipeline.worker() as process:
        await pipeline.drain()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert await pipeline.kept() == everything


@pytest.mark.faults
async def test_a_store_that_is_away_makes_no_dead_letters(pipeline: Pipeline) -> None:
    everything = some(200)
    async with pipeline.worker():
        pipeline.gate.is_open = False
        await pipeline.harness.send(*everything)
        await asyncio.sleep(AWAY_SECONDS)
        assert (await pipeline.harness.depths())[1] == 0
        pipeline.gate.is_open = True
        await pipeline.drain()

    assert await pipeline.kept() == everything
    assert await pipeline.harness.depths() == (0, 0)


@pytest.mark.faults
async def test_a_worker_that_starts_while_the_store_is_away_works_once_it_is_back(
    pipeline: Pipeline,
) -> None:
    everything = some(30)
    await pipeline.harness.send(*everything)
    pipeline.gate.is_open = False
    async with pipeline.worker():
        await asyncio.sleep(1)
        pipeline.gate.is_open = True
        await pipeline.drain()

    assert await pipeline.kept() == everything

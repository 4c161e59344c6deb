"""Several API processes on one host: when one dies and is not started again, the others deliver what it had accepted."""

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from infra.history.sqlite.outbox.outbox import OUTBOX_FOLDER
from tests.faults.ledger_load import Load
from tests.faults.ledger_scenario import (
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
    until,
)
from tests.support.service import Service, running_service

# The time until another process delivers has an upper bound.
pytestmark = pytest.mark.realtime

LONGEST_ADOPTION_SECONDS = 30.0
NUMBERS_A_PROCESS = 1_000_000


@pytest.mark.parametrize(
    ("per_second", "seconds"), [(15, 1.0), pytest.param(30, 10.0, marks=pytest.mark.faults)]
)
async def test_what_a_process_accepted_that_never_comes_back_is_delivered_by_the_others(
    tmp_path: Path, per_second: float, seconds: float, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path) as scenario:
        with ExitStack() as processes:
            await scenario.start()
            others = [await _another(scenario, processes) for _ in range(2)]
            async with AsyncExitStack() as loads:
                for number, service in enumerate((scenario.service, *others)):
                    load = Load(
                        service.url,
                        scenario.ledger,
                        per_second=per_second,
                        first=number * NUMBERS_A_PROCESS,
                    )
                    await loads.enter_async_context(load)
                await asyncio.sleep(seconds)
                scenario.mongod.pause()  # what it has accepted is nowhere else, then
                await asyncio.sleep(1.0)
                killed_seconds = time.monotonic()
                await asyncio.to_thread(others[1].kill)
                scenario.mongod.resume()

                async def is_adopted() -> bool:
                    return len(list((scenario.data_dir / OUTBOX_FOLDER).glob("*.db"))) == 2

                await until(is_adopted)
                adopted_seconds = time.monotonic() - killed_seconds

            async def is_delivered() -> bool:
                return await scenario.metric("rt_outbox_rows", others[0]) == 0

            await until(is_delivered)
            verdict = await scenario.verify()
    report_figures(
        f"one of 3 processes killed and left dead: its outbox taken over after {adopted_seconds:.1f} s; {verdict}",
        record_property,
    )
    assert not verdict.faults
    assert adopted_seconds < LONGEST_ADOPTION_SECONDS


async def _another(scenario: LedgerScenario, processes: ExitStack) -> Service:
    """Start one more, on the same data."""
    running = running_service(scenario.data_dir, scenario.settings)
    return await asyncio.to_thread(processes.enter_context, running)

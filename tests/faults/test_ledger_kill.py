"""The service killed again and again under load: what it had acknowledged is kept, once.

Realtime: a least number of answers within the time of the load, and a longest time until the outbox is empty.
"""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.faults.ledger_scenario import (
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
)

pytestmark = pytest.mark.realtime

PER_SECOND = 100
LONGEST_DRAIN_SECONDS = 30.0


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.faults)])
async def test_kills_under_load_lose_and_double_nothing(
    tmp_path: Path, kills: int, record_property: RecordProperty
) -> None:
    drained = []
    async with ledger_scenario(tmp_path) as scenario:
        await scenario.start()
        async with scenario.load(per_second=PER_SECOND) as load:
            for kill in range(kills):
                killed_seconds = await _kill(scenario, is_stalled=kill % 2 == 0)
                load.url = scenario.service.url
                drained.append(await scenario.caught_up(killed_seconds))
        verdict = await scenario.verify()
    figures = f"{kills} kills: {verdict}; drained within {max(drained):.1f} s of the kill"
    report_figures(figures, record_property)
    assert not verdict.faults
    assert verdict.acknowledged > kills * PER_SECOND / 2
    assert max(drained) < LONGEST_DRAIN_SECONDS


async def _kill(scenario: LedgerScenario, *, is_stalled: bool) -> float:
    """Kill the service in mid load, start it again, and return when it was killed.

    With a store that hangs, nothing can have been saved there: else saving after the answer would pass as well.
    """
    await asyncio.sleep(random.uniform(0.7, 1.2))
    if is_stalled:
        scenario.mongod.pause()
        await asyncio.sleep(1.0)
    killed_seconds = time.monotonic()
    await scenario.kill()
    await scenario.start()
    if is_stalled:
        scenario.mongod.resume()
    return killed_seconds

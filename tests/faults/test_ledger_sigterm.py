"""SIGTERM under load: a request that was received is answered, and what was answered is kept.

Realtime: a request sent shortly before the signal counts as received, and the process has to stop in time.
"""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.faults.ledger_load import keep_asking
from tests.faults.ledger_scenario import RecordProperty, ledger_scenario, report_figures

pytestmark = pytest.mark.realtime

CLIENTS = 50
THINKING_SECONDS = 0.4
ON_ITS_WAY_SECONDS = 0.1
"""What was sent so shortly before the signal may have arrived after it."""

LONGEST_STOP_SECONDS = 30.0


@pytest.mark.parametrize("is_stalled", [False, pytest.param(True, marks=pytest.mark.faults)])
async def test_everybody_heard_before_sigterm_is_answered(
    tmp_path: Path, is_stalled: bool, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path, provider_seconds=THINKING_SECONDS) as scenario:
        await scenario.start()
        process = scenario.service.process
        asking = asyncio.create_task(
            keep_asking(
                scenario.service.url,
                scenario.ledger,
                clients=CLIENTS,
                is_over=lambda: process.poll() is not None,
            )
        )
        await asyncio.sleep(1.5)
        if is_stalled:
            scenario.mongod.pause()
            await asyncio.sleep(1.0)
        told_seconds = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, LONGEST_STOP_SECONDS)
        stopped_seconds = time.monotonic() - told_seconds
        await asking
        await scenario.end()
        if is_stalled:
            scenario.mongod.resume()
        await scenario.start()
        verdict = await scenario.verify()
        heard = {
            entry.prompt
            for entry in scenario.ledger.read()
            if entry.sent_seconds < told_seconds - ON_ITS_WAY_SECONDS
        }
        prompts = scenario.prompts_asked()
        failed = [
            entry
            for entry in scenario.ledger.read()
            if not entry.is_acknowledged and entry.prompt in heard.union(prompts)
        ]
        under_way = [
            entry
            for entry in scenario.ledger.read()
            if entry.sent_seconds < told_seconds < entry.sent_seconds + entry.seconds
        ]
    figures = (
        f"SIGTERM{' with the store stalled' if is_stalled else ''}: {len(under_way)} under way, {len(failed)} failed, "
        f"exit {code} after {stopped_seconds:.1f} s; {verdict}"
    )
    report_figures(figures, record_property)
    assert not verdict.faults
    assert code == 0
    assert not failed
    assert len(under_way) > CLIENTS / 2

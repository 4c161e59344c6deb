"""MongoDB away under load, briefly and until the outbox is full: chats go on, and nothing is lost.

Realtime: longest times of reads and of catching up, and answers within a time limit at a fixed rate.
"""

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.ledger import quantile_milliseconds, share_of_200s
from tests.faults.ledger_scenario import (
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
    until,
)

pytestmark = pytest.mark.realtime

PER_SECOND = 100
LEAST_SHARE = 0.999
LONGEST_CATCH_UP_SECONDS = 60.0
LONGEST_READ_SECONDS = 10.0
"""Of 2.5 s, on a busy machine; the driver left alone waits for 30 s and more."""

GROWTH_BYTES = 30 * 1024 * 1024


@pytest.mark.parametrize("seconds", [10.0, pytest.param(30.0, marks=pytest.mark.faults)])
async def test_an_outage_costs_no_answer_and_no_history(
    tmp_path: Path, seconds: float, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path) as scenario:
        await scenario.start()
        async with scenario.load(per_second=PER_SECOND):
            await asyncio.sleep(1.0)
            gone_seconds = time.monotonic()
            await asyncio.to_thread(scenario.mongod.stop)
            reads = []
            while time.monotonic() < gone_seconds + seconds:
                reads.append(await _read_a_page(scenario))
                assert await scenario.is_ready()
                await asyncio.sleep(0.2)
            _, ready = await scenario.get("/health/ready")
            back_seconds = time.monotonic()
            await asyncio.to_thread(scenario.mongod.start)
            caught_up = await scenario.caught_up(back_seconds)
        verdict = await scenario.verify()
        during, before = [], []
        for entry in scenario.ledger.read():
            if entry.sent_seconds < gone_seconds:
                before.append(entry)
            elif entry.sent_seconds < back_seconds:
                during.append(entry)
    p99 = [quantile_milliseconds(some, 0.99) for some in (before, during)]
    figures = (
        f"away for {seconds:.0f} s: {share_of_200s(during):.2%} of {len(during)} answered with 200, p99 {p99[1]} ms "
        f"after {p99[0]} ms; {len(reads)} pages 503 within {max(reads):.2f} s; "
        f"caught up in {caught_up:.1f} s; {verdict}"
    )
    report_figures(figures, record_property)
    assert not verdict.faults
    assert share_of_200s(during) >= LEAST_SHARE
    assert [part["component"] for part in ready["degraded"]] == ["history store"]
    assert max(reads) < LONGEST_READ_SECONDS
    assert caught_up < LONGEST_CATCH_UP_SECONDS


@pytest.mark.parametrize(
    ("max_rows", "seconds"), [(200, 1.0), pytest.param(5000, 30.0, marks=pytest.mark.faults)]
)
async def test_a_full_outbox_refuses_before_it_asks_and_grows_no_further(
    tmp_path: Path,
    max_rows: int,
    seconds: float,
    record_property: RecordProperty,
) -> None:
    async with ledger_scenario(tmp_path, settings={"OUTBOX_MAX_ROWS": str(max_rows)}) as scenario:
        await scenario.start()
        async with scenario.load(per_second=PER_SECOND):
            await asyncio.sleep(1.0)
            scenario.mongod.pause()
            started_bytes = _rss_bytes(scenario)

            async def is_full() -> bool:
                return not await scenario.is_ready()

            await until(is_full)
            full_seconds = time.monotonic()
            await asyncio.sleep(seconds)
            rows = await scenario.metric("rt_outbox_rows")
            grown_bytes = _rss_bytes(scenario) - started_bytes
            resumed_seconds = time.monotonic()
            scenario.mongod.resume()
            healed = await until(scenario.is_ready)
            await asyncio.sleep(0.5)
        verdict = await scenario.verify()
        entries = scenario.ledger.read()
    refused = [entry for entry in entries if entry.problem == "history-unavailable"]
    while_full = [
        entry for entry in entries if full_seconds + 0.1 < entry.sent_seconds < resumed_seconds
    ]
    figures = (
        f"cap of {max_rows} rows: {len(refused)} refused with 503, {rows:.0f} rows at most, memory "
        f"{grown_bytes / 2**20:+.1f} MiB; accepting again after {healed:.1f} s; {verdict}"
    )
    report_figures(figures, record_property)
    assert not verdict.faults
    assert while_full
    assert {entry.problem for entry in while_full} == {"history-unavailable"}
    assert {entry.problem for entry in entries} == {"", "history-unavailable"}
    assert max_rows <= rows <= max_rows + PER_SECOND
    assert grown_bytes < GROWTH_BYTES


async def _read_a_page(scenario: LedgerScenario) -> float:
    """Expect a page to be refused, and return how long that took, in seconds."""
    started = time.monotonic()
    status, problem = await scenario.get("/v1/history/client-0")
    assert (status, problem["type"]) == (503, "/problems/history-store-unavailable")
    return time.monotonic() - started


def _rss_bytes(scenario: LedgerScenario) -> int:
    lines = Path(f"/proc/{scenario.service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024

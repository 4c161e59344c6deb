"""SQS under load: how soon what was answered can be read, and what a queue that hangs costs.

Realtime: a load of fixed rate, its worker and the emulator share the machine, and the outage lasts only seconds.
"""

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.ledger import Entry, quantile_milliseconds, share_of_200s
from tests.faults.ledger_load import a_session, ask
from tests.faults.ledger_scenario import (
    MONGO_DB,
    PROVIDER_SECONDS,
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
    until,
)
from tests.faults.ledger_verifier import walked
from tests.support.aws_emulator import AwsEmulator, pausable_emulator, shared_emulator
from tests.support.cloud_path import depth
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import watched_worker

pytestmark = pytest.mark.realtime

PER_SECOND = 50
LEAST_SHARE = 0.999
FIRST = 5
"""So many find out that the queue is away; after them nobody waits for it."""


def behind_a_queue(queue: AwsEmulator) -> dict[str, str]:
    """Return the settings of a service that gives to a queue, whose worker stores in MongoDB."""
    return {
        "AWS_ENDPOINT_URL": queue.url,
        "AWS_EMULATOR": "true",
        "SQS_QUEUE_URL": deploy_data_stack(queue).queues.queue_url,
        "MONGO_URI": shared_mongo_uri(),
        "MONGO_DB": f"{MONGO_DB}-{secrets.token_hex(4)}",
    }


@asynccontextmanager
async def with_worker(tmp_path: Path, scenario: LedgerScenario) -> AsyncIterator[None]:
    """Run a worker beside the service."""
    working = watched_worker(tmp_path / "worker", scenario.settings)
    await asyncio.to_thread(working.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(working.__exit__, None, None, None)


async def all_stored(scenario: LedgerScenario, queue: AwsEmulator) -> None:
    """Return once neither the outbox nor the queue holds anything."""

    async def is_empty() -> bool:
        if await scenario.metric("rt_outbox_rows"):
            return False
        return await asyncio.to_thread(depth, queue, scenario.settings["SQS_QUEUE_URL"]) == 0

    await until(is_empty)


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.faults)])
async def test_a_queue_that_hangs_costs_no_answer_and_loses_none(
    tmp_path: Path, seconds: float, record_property: RecordProperty
) -> None:
    with pausable_emulator() as queue:
        settings = behind_a_queue(queue)
        async with ledger_scenario(tmp_path, has_store=False, settings=settings) as scenario:
            await scenario.start()
            async with with_worker(tmp_path, scenario):
                async with scenario.load(per_second=PER_SECOND):
                    await asyncio.sleep(max(2.0, seconds / 6))
                    gone_seconds = time.monotonic()
                    queue.pause()
                    await asyncio.sleep(seconds)
                    _, ready = await scenario.get("/health/ready")
                    back_seconds = time.monotonic()
                    queue.resume()

                    async def is_whole() -> bool:
                        return (await scenario.get("/health/ready"))[1]["degraded"] == []

                    healed = await until(is_whole)
                    await asyncio.sleep(1.0)
                await all_stored(scenario, queue)
                dead = await asyncio.to_thread(depth, queue, f"{settings['SQS_QUEUE_URL']}-dlq")
                verdict = await scenario.verify()
    entries = sorted(scenario.ledger.read(), key=lambda entry: entry.sent_seconds)
    before = [entry for entry in entries if entry.sent_seconds < gone_seconds - PROVIDER_SECONDS]
    # whoever was answered by then had been put on the queue before it was gone
    during = [
        entry
        for entry in entries
        if entry.sent_seconds + entry.seconds > gone_seconds and entry.sent_seconds < back_seconds
    ]
    report_figures(
        f"SQS stopped for {seconds:.0f} s: {share_of_200s(during):.2%} of {len(during)} answered with 200; "
        f"{_added(before, during)}; noticed again after {healed:.1f} s; {dead} dead letters; {verdict}",
        record_property,
    )
    assert not verdict.faults
    assert dead == 0
    assert share_of_200s(during) >= LEAST_SHARE
    assert "SQS" in {part["component"] for part in ready["degraded"]}


def _added(before: list[Entry], during: list[Entry]) -> str:
    usual = {share: quantile_milliseconds(before, share) for share in (0.5, 0.99)}
    waiting = sorted(entry.seconds for entry in during if entry.is_acknowledged)
    slow = [one for one in waiting if one > usual[0.99] / 1000 + 0.1]
    late = during[len(during) // 3 :]
    return (
        f"p50 {usual[0.5]} and p99 {usual[0.99]} ms before; {len(slow)} waited more than 0.1 s longer than that p99, "
        f"{waiting[-1] * 1000:.0f} ms at most; later p50 {quantile_milliseconds(late, 0.5)} and p99 "
        f"{quantile_milliseconds(late, 0.99)} ms"
    )


@pytest.mark.parametrize("seconds", [3.0, pytest.param(30.0, marks=pytest.mark.faults)])
async def test_who_waits_for_an_answer_to_be_readable_sees_it_soon(
    tmp_path: Path, seconds: float, record_property: RecordProperty
) -> None:
    queue = shared_emulator()
    lags_seconds: list[float] = []
    incomplete: list[str] = []

    async def ask_and_wait(number: int) -> None:
        entry = await ask(session, scenario.service.url, number)
        scenario.ledger.write(entry)
        answered_seconds = time.monotonic()
        status, page = await scenario.get(
            f"/v1/history/{entry.user_id}?afterId={entry.interaction_id}&wait=5"
        )
        assert status == 200
        if not page["complete"]:
            incomplete.append(entry.interaction_id)
            return
        lags_seconds.append(time.monotonic() - answered_seconds)
        assert entry.interaction_id in {item["id"] for item in page["history"]}

    settings = behind_a_queue(queue)
    async with (
        ledger_scenario(tmp_path, has_store=False, settings=settings) as scenario,
        a_session() as session,
    ):
        await scenario.start()
        async with with_worker(tmp_path, scenario), asyncio.TaskGroup() as asking:
            started = time.monotonic()
            for number in range(round(PER_SECOND * seconds)):
                await asyncio.sleep(started + number / PER_SECOND - time.monotonic())
                asking.create_task(ask_and_wait(number))
        found = {item["id"] for item in await walked(scenario.service.url)}
    asked = scenario.ledger.read()
    lags = statistics.quantiles(lags_seconds, n=100)
    report_figures(
        f"through SQS at {PER_SECOND} a second: readable p50 {lags[49] * 1000:.0f} ms, p99 {lags[98] * 1000:.0f} ms "
        f"after the answer; {len(lags_seconds)} of {len(asked)} within wait=5, {len(incomplete)} told that it is not complete",
        record_property,
    )
    assert all(entry.is_acknowledged for entry in asked)
    assert len(lags_seconds) + len(incomplete) == len(asked)
    assert {entry.interaction_id for entry in asked} - found <= set(incomplete)

"""SIGTERM while streams are open: those that end in time end well, the others are told and kept as far as they came."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from infra.selftest.exchange import Exchange
from tests.faults.ledger_load import STREAMED_OF, a_session, ask
from tests.faults.ledger_scenario import RecordProperty, ledger_scenario, report_figures
from tests.faults.ledger_verifier import walked

# Streams have to end within the grace period.
pytestmark = pytest.mark.realtime

STREAMS = 20
PIECE_SECONDS = 0.1
ENDLESS_SECONDS = 300.0


@pytest.mark.parametrize(
    ("grace_seconds", "short_seconds", "is_impatient"),
    [
        (2.5, 1.5, False),
        pytest.param(25.0, 20.0, False, marks=pytest.mark.faults),
        pytest.param(25.0, 1.5, True, marks=pytest.mark.faults),
    ],
)
async def test_a_stream_ends_well_or_with_a_word_and_is_kept(
    tmp_path: Path,
    grace_seconds: float,
    short_seconds: float,
    is_impatient: bool,
    record_property: RecordProperty,
) -> None:
    async def stream(exchange: Exchange) -> None:
        question = exchange.body["contents"][-1]["parts"][0]["text"]
        number = int(question.split()[-1]) // STREAMED_OF
        until_seconds = time.monotonic() + (short_seconds if number % 2 == 0 else ENDLESS_SECONDS)
        await exchange.begin()
        while time.monotonic() < until_seconds:
            await exchange.text("and so on, ")
            await asyncio.sleep(PIECE_SECONDS)
        await exchange.finish()

    settings = {"SHUTDOWN_GRACE_SECONDS": str(grace_seconds)}
    async with ledger_scenario(tmp_path, has_store=False, settings=settings) as scenario:
        scenario.provider.override["healthy"] = stream
        await scenario.start()
        process = scenario.service.process
        async with a_session() as session:
            asking = [
                asyncio.create_task(ask(session, scenario.service.url, number * STREAMED_OF))
                for number in range(STREAMS)
            ]
            await asyncio.sleep(1.0)
            told_seconds = time.monotonic()
            process.send_signal(signal.SIGTERM)
            if is_impatient:
                await asyncio.sleep(short_seconds + 0.5)
                process.send_signal(signal.SIGTERM)
            entries = await asyncio.gather(*asking)
        code = await asyncio.to_thread(process.wait, 60)
        stopped_seconds = time.monotonic() - told_seconds
        await scenario.end()
        await scenario.start()
        kept = {item["id"]: item for item in await walked(scenario.service.url)}
    short, endless = entries[::2], entries[1::2]
    report_figures(
        f"SIGTERM{' twice' if is_impatient else ''} with {STREAMS} streams open: "
        f"{sum(entry.is_done for entry in short)} of {len(short)} that took {short_seconds} s were whole, "
        f"{sum(bool(entry.problem) for entry in endless)} of {len(endless)} longer ones told; exit {code} after "
        f"{stopped_seconds:.1f} s",
        record_property,
    )
    assert code == 0
    assert [entry.is_acknowledged for entry in short] == [True] * len(short)
    assert [entry.is_done for entry in endless] == [False] * len(endless)
    assert all(entry.problem for entry in endless)
    assert {kept[entry.interaction_id]["status"] for entry in short} == {"completed"}
    assert {kept[entry.interaction_id]["status"] for entry in endless} == {"truncated"}
    for entry in entries:
        assert len(kept[entry.interaction_id]["response"].encode()) == entry.text_bytes
    assert stopped_seconds < grace_seconds + 5.0

"""Who was answered reads it at once, from every store, also from one that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.faults.ledger_load import USERS, a_session, ask
from tests.faults.ledger_scenario import (
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
)

IsVisible = Callable[[aiohttp.ClientSession, str, str], Awaitable[bool]]

TIMES = [200, pytest.param(2000, marks=pytest.mark.faults)]


@pytest.mark.parametrize("times", TIMES)
async def test_an_answer_is_in_embedded_history_at_once(
    tmp_path: Path, times: int, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path, has_store=False, provider_seconds=0.0) as scenario:
        await scenario.start()
        visible = await _ask_and_read(scenario, range(times), _is_first_of_page)
        verdict = await scenario.verify()
    report_figures(f"embedded: {visible} of {times} visible at once; {verdict}", record_property)
    assert visible == times
    assert not verdict.faults


@pytest.mark.parametrize("times", TIMES)
async def test_an_answer_is_in_history_at_once_and_by_its_id_while_the_store_is_stopped(
    tmp_path: Path, times: int, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path, provider_seconds=0.0) as scenario:
        await scenario.start()
        visible = await _ask_and_read(scenario, range(times), _is_first_of_page)
        await asyncio.to_thread(scenario.mongod.stop)
        by_id = await _ask_and_read(scenario, range(times, 2 * times), _is_there)
        await asyncio.to_thread(scenario.mongod.start)
        verdict = await scenario.verify()
    figures = f"MongoDB: {visible} of {times} visible at once; stopped: {by_id} of {times} by id; {verdict}"
    report_figures(figures, record_property)
    assert (visible, by_id) == (times, times)
    assert not verdict.faults


async def _ask_and_read(scenario: LedgerScenario, numbers: range, is_visible: IsVisible) -> int:
    """Let each user ask and read in turn; return how often what was answered was seen."""
    url = scenario.service.url

    async def user(share: range) -> int:
        seen = 0
        for number in share:
            entry = await ask(session, url, number)
            assert entry.is_acknowledged, entry
            scenario.ledger.write(entry)
            history = f"{url}/v1/history/{entry.user_id}"
            seen += await is_visible(session, history, entry.interaction_id)
        return seen

    async with a_session() as session:
        return sum(
            await asyncio.gather(
                *(user(numbers[first :: len(USERS)]) for first in range(len(USERS)))
            )
        )


async def _is_first_of_page(session: aiohttp.ClientSession, history: str, one: str) -> bool:
    async with session.get(history) as response:
        page = orjson.loads(await response.read())
    return bool(page["history"]) and page["history"][0]["id"] == one


async def _is_there(session: aiohttp.ClientSession, history: str, one: str) -> bool:
    async with session.get(f"{history}/{one}") as response:
        return response.status == 200

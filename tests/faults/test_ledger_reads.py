"""Who was answered reads it at once, from every store, also from one that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.faults.ledger_load import USERS, a_session, ask
from tests.faults.ledger_scene import RecordProperty, Scene, scene, tell

IsVisible = Callable[[aiohttp.ClientSession, str, str], Awaitable[bool]]

TIMES = [200, pytest.param(2000, marks=pytest.mark.faults)]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("has_store", [False, True])
async def test_an_answer_is_in_history_at_once(
    tmp_path: Path, has_store: bool, times: int, record_property: RecordProperty
) -> None:
    async with scene(tmp_path, has_store=has_store, provider_seconds=0.0) as stage:
        await stage.start()
        visible = await _ask_and_read(stage, times, _is_first_of_page)
        verdict = await stage.verify()
    figures = (
        f"{'MongoDB' if has_store else 'embedded'}: {visible} of {times} visible at once; {verdict}"
    )
    tell(figures, record_property)
    assert visible == times
    assert not verdict.faults


@pytest.mark.parametrize("times", TIMES)
async def test_with_the_store_stopped_an_answer_is_there_by_its_id_at_once(
    tmp_path: Path, times: int, record_property: RecordProperty
) -> None:
    async with scene(tmp_path, provider_seconds=0.0) as stage:
        await stage.start()
        await asyncio.to_thread(stage.mongod.stop)
        visible = await _ask_and_read(stage, times, _is_there)
        await asyncio.to_thread(stage.mongod.start)
        verdict = await stage.verify()
    figures = f"MongoDB stopped: {visible} of {times} there by id at once; {verdict}"
    tell(figures, record_property)
    assert visible == times
    assert not verdict.faults


async def _ask_and_read(stage: Scene, times: int, is_visible: IsVisible) -> int:
    """Let each user ask and read in turn; return how often what was answered was seen."""
    url = stage.service.url

    async def user(first: int) -> int:
        seen = 0
        for number in range(first, times, len(USERS)):
            entry = await ask(session, url, number)
            assert entry.is_acknowledged, entry
            stage.ledger.write(entry)
            history = f"{url}/v1/history/{entry.user_id}"
            seen += await is_visible(session, history, entry.interaction_id)
        return seen

    async with a_session() as session:
        return sum(await asyncio.gather(*(user(first) for first in range(len(USERS)))))


async def _is_first_of_page(session: aiohttp.ClientSession, history: str, one: str) -> bool:
    async with session.get(history) as response:
        page = orjson.loads(await response.read())
    return bool(page["history"]) and page["history"][0]["id"] == one


async def _is_there(session: aiohttp.ClientSession, history: str, one: str) -> bool:
    async with session.get(f"{history}/{one}") as response:
        return response.status == 200

"""All of a user's history, out of every store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.entities.interaction import Interaction, milliseconds_of
from domain.entities.items import ProviderMetadata, Reasoning, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import HistoryRepository
from domain.use_cases import export_history
from domain.use_cases.export_history import ExportHistory
from tests.contracts.history_stores import STORES
from tests.contracts.history_walks import mixed
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    async with STORES[request.param](tmp_path) as history:
        yield history


class Later(FakeClock):
    """Stands a second after the interactions."""

    def now_milliseconds(self) -> int:
        return START_MILLISECONDS + 1000


async def exported(history: HistoryRepository, user_id: str = "ana") -> list[Interaction]:
    found: list[Interaction] = []
    async for page in ExportHistory(history=history, clock=Later())(user_id):
        found += page
    return found


@pytest.mark.slow
async def test_all_there_was_comes_once_and_in_order_while_others_write(
    history: HistoryRepository,
) -> None:
    before = [mixed(number) for number in range(700)]
    for start in range(0, 700, 100):
        await history.append_many(before[start : start + 100])
    await history.append_many([replace(mixed(number + 1), user_id="bob") for number in range(60)])
    await history.erase("ana", an_id(77))

    async def keep_writing() -> None:
        for number in range(2000, 1_000_000):
            await history.append(mixed(number))

    writing = asyncio.create_task(keep_writing())
    try:
        assert await exported(history) == [one for one in before if one.id != an_id(77)]
    finally:
        writing.cancel()


async def test_an_unknown_user_has_nothing(history: HistoryRepository) -> None:
    await history.append(an_interaction())
    assert await exported(history, "an") == []


async def test_what_was_asked_just_now_is_there(history: HistoryRepository) -> None:
    last = an_interaction(id=an_id(milliseconds=START_MILLISECONDS + 1000))
    later = an_interaction(id=an_id(milliseconds=START_MILLISECONDS + 1001))
    assert milliseconds_of(last.id) == Later().now_milliseconds()
    await history.append_many([last, later])
    assert await exported(history) == [last]


LONG = "x" * 200_000
MARK = ProviderMetadata(kind="k", family="f", value=LONG)


@pytest.mark.parametrize(
    "long",
    [
        {"text": LONG},
        {"items": (Reasoning(text=LONG),)},
        {"items": (ToolCall(id="", name="", arguments="", metadata=MARK),)},
        {"prompt": Prompt.from_text(LONG)},
        {
            "prompt": Prompt(
                messages=(
                    Message(role=Role.USER, text="", items=(ToolResult(call_id="", output=LONG),)),
                )
            )
        },
    ],
    ids=["answer", "reasoning", "metadata", "question", "result"],
)
async def test_long_texts_are_read_few_at_a_time(long: dict[str, Any]) -> None:
    history = InMemoryHistory()
    for number in range(200):
        await history.append(an_interaction(number, **(long if number >= 80 else {"text": "x"})))
    sizes = [len(page) async for page in ExportHistory(history=history, clock=Later())("ana")]
    assert sum(sizes) == 200
    assert sizes[:3] == [10, 20, 40]
    assert sizes[-1] <= 10
    assert max(sizes) <= 100


async def test_a_hiccup_is_waited_for_and_an_outage_is_not() -> None:
    history = InMemoryHistory()
    for number in range(30):
        await history.append(an_interaction(number))
    clock = Later()
    async with aclosing(ExportHistory(history=history, clock=clock)("ana")) as pages:
        assert len(await anext(pages)) == 10
        history.is_unreadable = True
        with pytest.raises(HistoryUnreadable):
            await anext(pages)
    assert clock.slept == [export_history.PAUSE_SECONDS] * (export_history.TRIES_PER_PAGE - 1)
    assert history.searches == 1 + export_history.TRIES_PER_PAGE

    class Hiccup(InMemoryHistory):
        async def search(self, query):  # type: ignore[no-untyped-def]
            self.is_unreadable = self.searches in (1, 2)
            return await super().search(query)

    hiccup = Hiccup()
    hiccup.kept = history.kept
    assert len(await exported(hiccup)) == 30
    async with aclosing(ExportHistory(history=history, clock=clock)("ana")) as pages:
        with pytest.raises(HistoryUnreadable):
            await anext(pages)
    assert history.searches == 2 + export_history.TRIES_PER_PAGE, "the first is tried once"

"""What cannot be counted here and in the store waits until it is there: figures, and the turns of conversations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.entities.usage.report import UsageQuery
from domain.exceptions import HistoryUnreadable
from infra.clock import SystemClock
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from infra.history.sqlite.store import open_sqlite
from tests.fakes.conversation_records import InMemoryConversationRecords
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.unreliable_store import UnreliableStore

OF_ANA = StatisticsQuery(user_id="ana", by=GroupBy.MODEL)
OF_ALL = UsageQuery(from_id=an_id(0), to_id=an_id(9))


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Any]:
    async with open_sqlite(
        tmp_path / "store", clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as behind:
        yield behind


@pytest.fixture
def opened(tmp_path: Path, behind: Any) -> Callable[..., AbstractAsyncContextManager[Outbox]]:
    """Open an outbox before a store of its own way to the same file: another process of the same host."""

    def open_one(store: UnreliableStore, **changes: Any) -> AbstractAsyncContextManager[Outbox]:
        usual = {
            "store": store,
            "clock": SystemClock(),
            "read_seconds": 10.0,
            "min_free_disk_bytes": 0,
            "housekeeping_seconds": 0.05,
            "drain_seconds": 0.0,
        }
        return open_outbox(tmp_path / "host", **usual | changes)

    return open_one


Opened = Callable[..., AbstractAsyncContextManager[Outbox]]


async def counted(outbox: Outbox) -> tuple[int, int]:
    """Return how many interactions the figures and the conversations hold."""
    groups = await outbox.statistics(OF_ANA)
    page = await outbox.conversations(ConversationQuery(user_id="ana"))
    return sum(one.interactions for one in groups), sum(one.turns for one in page.conversations)


async def test_what_another_process_of_this_host_accepted_counts(
    opened: Opened, behind: Any
) -> None:
    slow = UnreliableStore(behind)
    slow.may_write.clear()
    async with opened(slow) as theirs, opened(UnreliableStore(behind)) as ours:
        await theirs.append(an_interaction(1, conversation_id="c"))
        counting = asyncio.create_task(counted(ours))
        await asyncio.wait([counting], timeout=0.2)
        assert not counting.done()
        slow.may_write.set()
        assert await counting == (1, 1)


async def test_what_a_process_that_died_had_accepted_counts(opened: Opened, behind: Any) -> None:
    slow = UnreliableStore(behind)
    slow.may_write.clear()
    ours = UnreliableStore(behind)
    async with opened(ours) as outbox:
        async with opened(slow) as theirs:
            await theirs.append_many([an_interaction(n, conversation_id="c") for n in range(3)])
            counting = asyncio.create_task(counted(outbox))
            await asyncio.wait([counting], timeout=0.2)
        assert await counting == (3, 3)


async def test_figures_need_the_store(opened: Opened, behind: Any) -> None:
    store = UnreliableStore(behind)
    store.is_away = True
    async with opened(store, read_seconds=0.3) as outbox:
        with pytest.raises(HistoryUnreadable):
            await outbox.statistics(OF_ANA)
        await outbox.append(an_interaction(1))
        with pytest.raises(HistoryUnreadable):
            await outbox.statistics(OF_ANA)
        assert len(outbox.degraded()) == 1
        store.is_away = False
        async with asyncio.timeout(120):
            while await behind.find("ana", an_id(1)) is None:
                await asyncio.sleep(0.01)
        (found,) = await outbox.statistics(OF_ANA)
        assert found.interactions == 1


@pytest.mark.parametrize(
    "count",
    [lambda outbox: outbox.statistics(OF_ANA), lambda outbox: outbox.usage(OF_ALL)],
    ids=["statistics", "usage"],
)
async def test_figures_that_take_too_long_do_not_make_the_store_unread(
    opened: Opened, behind: Any, count: Callable[[Outbox], Awaitable[object]]
) -> None:
    store = UnreliableStore(behind)
    async with opened(store, read_seconds=0.3) as outbox:
        records = outbox.records(InMemoryConversationRecords())
        store.hangs = True
        with pytest.raises(HistoryUnreadable):
            await count(outbox)
        assert outbox.degraded() == []
        assert await records.get("ana", "c") is None
        store.hangs, store.is_away = False, True
        with pytest.raises(HistoryUnreadable):
            await count(outbox)
        assert outbox.degraded() == []


async def test_figures_show_that_the_store_answers_again(opened: Opened, behind: Any) -> None:
    store = UnreliableStore(behind)
    async with opened(store) as outbox:
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await outbox.find("ana", an_id(1))
        assert len(outbox.degraded()) == 1
        store.is_away = False
        await outbox.statistics(OF_ANA)
        assert outbox.degraded() == []


async def test_what_is_accepted_while_it_waits_does_not_keep_it_waiting(
    opened: Opened, behind: Any
) -> None:
    store = UnreliableStore(behind)
    async with opened(store) as outbox:

        async def keep_writing() -> None:
            for number in range(1_000_000):
                await outbox.append(an_interaction(number))

        writing = asyncio.create_task(keep_writing())
        try:
            for _ in range(5):
                await outbox.statistics(OF_ANA)
        finally:
            writing.cancel()

"""A conversation goes on without the store only where this host knows that it holds all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import apsw
import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from domain.exceptions import HistoryUnreadable
from infra.history.sqlite.outbox.outbox import OUTBOX_FOLDER, Outbox, open_outbox
from infra.history.sqlite.store import open_sqlite
from tests.contracts.history_walks import asking
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_interaction
from tests.fakes.unreliable_store import UnreliableStore
from tests.support.outbox_waits import PATIENCE_SECONDS, until_stored

pytestmark = pytest.mark.seen("C11")

KEEP_SECONDS = 3600.0
Opened = Callable[..., AbstractAsyncContextManager[Outbox]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(sleeping_advances=False)


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[UnreliableStore]:
    async with open_sqlite(
        tmp_path / "store", clock=clock, read_seconds=10.0, min_free_disk_bytes=0
    ) as behind:
        yield UnreliableStore(behind)


@pytest.fixture
def opened(tmp_path: Path, store: UnreliableStore, clock: FakeClock) -> Opened:
    """Open an outbox of a host that is the only one: each call is another process of it."""

    def open_one(**changes: Any) -> AbstractAsyncContextManager[Outbox]:
        usual = {
            "store": store,
            "clock": clock,
            "read_seconds": 10.0,
            "min_free_disk_bytes": 0,
            "keep_delivered_seconds": KEEP_SECONDS,
            "drain_seconds": 0.0,
            "is_only_host": True,
        }
        return open_outbox(tmp_path / "host", **usual | changes)

    return open_one


def a_chat_context(number: int, conversation_id: str = "c") -> Interaction:
    return an_interaction(number, conversation_id=conversation_id)


async def recalled(outbox: Outbox, conversation_id: str = "c") -> Sequence[Interaction]:
    query = asking(conversation_id=conversation_id, order=Order.ASC)
    return list((await outbox.recall(query)).interactions)


async def held(outbox: Outbox, *turns: Interaction) -> None:
    """Take turns as a chat does: what was said before is read, then the turn is kept."""
    for turn in turns:
        assert turn.conversation_id is not None
        await recalled(outbox, turn.conversation_id)
        await outbox.append(turn)


async def until_purged(outbox: Outbox, interaction: Interaction) -> None:
    """Return once the files of this host no longer hold an interaction; the store is away."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(HistoryUnreadable):
            while await outbox.find(interaction.user_id, interaction.id) == interaction:
                await asyncio.sleep(0.01)


async def test_one_that_began_here_goes_on_in_every_process_of_the_host(
    opened: Opened, store: UnreliableStore
) -> None:
    turns = [a_chat_context(number) for number in range(5)]
    async with opened() as one, opened() as other:
        await held(one, turns[0])
        await held(other, turns[1])
        await held(one, turns[2])
        await until_stored(store, *turns[:3])
        store.is_away = True
        await held(other, turns[3])
        await held(one, turns[4])
        for outbox in (one, other, one):
            assert await recalled(outbox) == turns
            with pytest.raises(HistoryUnreadable):
                await recalled(outbox, "another")


async def test_one_that_continues_an_interaction_of_this_host_goes_on(
    opened: Opened, store: UnreliableStore
) -> None:
    """Its id is that of the interaction: no caller looked for earlier turns before the first one."""
    first = an_interaction(1)
    turns = [a_chat_context(number, first.id) for number in (2, 3)]
    async with opened() as one, opened() as other:
        await one.append(first)
        await other.append(turns[0])
        await until_stored(store, first, turns[0])
        store.is_away = True
        await one.append(turns[1])
        for outbox in (one, other):
            assert await recalled(outbox, first.id) == turns
            assert await outbox.find(first.user_id, first.id) == first


@pytest.mark.parametrize("conversation_id", [None, "another"])
async def test_one_that_continues_an_interaction_of_elsewhere_waits_for_the_store(
    opened: Opened, store: UnreliableStore, conversation_id: str | None
) -> None:
    first = an_interaction(1, conversation_id=conversation_id)
    if conversation_id is None:
        await store.append_many([first])
    async with opened() as outbox:
        if conversation_id is not None:
            await outbox.append(first)
        await outbox.append(a_chat_context(2, first.id))
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox, first.id)


async def test_one_that_continues_an_interaction_waits_once_rows_were_purged(
    opened: Opened, store: UnreliableStore, clock: FakeClock
) -> None:
    first = an_interaction(1)
    async with opened(drain_seconds=30.0) as outbox:
        await outbox.append(first)
    clock.advance(2 * KEEP_SECONDS)
    async with opened() as outbox:
        store.is_away = True
        await until_purged(outbox, first)
        await outbox.append(a_chat_context(2, first.id))
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox, first.id)


async def test_one_that_began_elsewhere_waits_for_the_store(
    opened: Opened, store: UnreliableStore
) -> None:
    await store.append_many([a_chat_context(0)])
    async with opened() as outbox:
        await held(outbox, a_chat_context(1), a_chat_context(2))
        assert await recalled(outbox) == [a_chat_context(0), a_chat_context(1), a_chat_context(2)]
        store.is_away = True
        for _ in range(2):
            with pytest.raises(HistoryUnreadable):
                await recalled(outbox)
        store.is_away = False
        assert await recalled(outbox) == [a_chat_context(0), a_chat_context(1), a_chat_context(2)]


async def test_a_turn_kept_without_a_look_at_its_past_proves_nothing(
    opened: Opened, store: UnreliableStore
) -> None:
    """As one is that brings its own context, or the first that comes while the store is away."""
    async with opened() as outbox:
        await outbox.append(a_chat_context(1))
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox)


async def test_where_other_hosts_write_to_the_store_none_goes_on(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened(is_only_host=False) as outbox:
        await held(outbox, a_chat_context(1))
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox)


async def test_behind_a_queue_none_goes_on(opened: Opened, store: UnreliableStore) -> None:
    async with opened(sink=UnreliableStore(store.behind)) as outbox:
        await held(outbox, a_chat_context(1))
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox)


async def test_it_goes_on_after_the_process_was_started_again(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as outbox:
        await held(outbox, a_chat_context(1))
        await until_stored(store, a_chat_context(1))
    store.is_away = True
    async with opened() as outbox:
        await held(outbox, a_chat_context(2))
        assert await recalled(outbox) == [a_chat_context(1), a_chat_context(2)]


async def test_once_a_delivered_turn_is_removed_here_it_waits_for_the_store(
    opened: Opened, store: UnreliableStore, clock: FakeClock
) -> None:
    async with opened() as one, opened() as other:
        await held(one, a_chat_context(1))
        await until_stored(store, a_chat_context(1))
        clock.advance(KEEP_SECONDS / 2)
        await held(other, a_chat_context(2))
        await held(one, a_chat_context(3, "later"))
        await until_stored(store, a_chat_context(1), a_chat_context(2), a_chat_context(3, "later"))
        store.is_away = True
        clock.advance(KEEP_SECONDS / 2 - 60.0)
        await one._parts.housekeeping()
        assert await recalled(other) == [a_chat_context(1), a_chat_context(2)]
        clock.advance(120.0)
        await one._parts.housekeeping()
        for outbox in (one, other):
            with pytest.raises(HistoryUnreadable):
                await recalled(outbox)
            assert await recalled(outbox, "later") == [a_chat_context(3, "later")]


async def test_what_is_lost_with_the_outbox_of_a_dead_process_is_known_to_be_lost(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as living:
        async with opened() as dying:
            await held(living, a_chat_context(1), a_chat_context(5, "alone"))
            await held(dying, a_chat_context(2))
            await until_stored(
                store, a_chat_context(1), a_chat_context(2), a_chat_context(5, "alone")
            )
        store.is_away = True
        await living._parts.housekeeping()  # takes over what is left to deliver: nothing
        with pytest.raises(HistoryUnreadable):
            await recalled(living)


async def test_what_a_dead_process_had_still_to_deliver_is_not_lost(
    opened: Opened, store: UnreliableStore
) -> None:
    async with opened() as living:
        async with opened() as dying:
            await held(living, a_chat_context(1))
            await until_stored(store, a_chat_context(1))
            store.is_away = True
            await held(dying, a_chat_context(2))
        await living._parts.housekeeping()
        assert await recalled(living) == [a_chat_context(1), a_chat_context(2)]


async def test_an_outbox_that_an_earlier_release_used_proves_nothing_for_what_it_held(
    opened: Opened, store: UnreliableStore, tmp_path: Path
) -> None:
    async with opened() as outbox:
        await held(outbox, a_chat_context(1))
        await until_stored(store, a_chat_context(1))
    (path,) = (tmp_path / "host" / OUTBOX_FOLDER).glob("*.db")
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE begun_conversation; DROP TABLE rows_lost")
    connection.close()
    async with opened(clock=FakeClock(sleeping_advances=False)) as outbox:
        store.is_away = True
        with pytest.raises(HistoryUnreadable):
            await recalled(outbox)


async def test_a_conversation_erased_and_begun_anew_goes_on(
    opened: Opened, store: UnreliableStore, clock: FakeClock
) -> None:
    async with opened() as outbox:
        await held(outbox, a_chat_context(1), a_chat_context(2))
        await until_stored(store, a_chat_context(1), a_chat_context(2))
        await outbox.erase("ana", a_chat_context(1).id)
        await outbox.erase("ana", a_chat_context(2).id)
        clock.advance(1.0)
        await held(outbox, a_chat_context(3))
        store.is_away = True
        await asyncio.sleep(0)
        assert await recalled(outbox) == [a_chat_context(3)]

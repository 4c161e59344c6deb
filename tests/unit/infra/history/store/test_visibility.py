"""Readers that wait for an interaction are notified of its append, and look no oftener than needed."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.entities.interaction import Interaction
from domain.exceptions import HistoryUnreadable
from infra.clock import SystemClock
from infra.history.sqlite.store import SqliteHistory, open_sqlite
from infra.history.store.visibility import wait_until_found
from infra.tasks.notifier import Notifier
from tests.fakes.interactions import an_id, an_interaction, begin

PATIENCE_SECONDS = 120.0


class CountedLooks:
    """Finds an interaction once it is set, and counts the looks.

    Attributes:
        found: The interaction, once it can be read.
        looks: How often it was looked for.
    """

    def __init__(self) -> None:
        self.found: Interaction | None = None
        self.looks = 0

    async def __call__(self) -> Interaction | None:
        self.looks += 1
        await asyncio.sleep(0)
        return self.found


async def test_a_notified_reader_looks_twice() -> None:
    notifier, look = Notifier[str](), CountedLooks()
    with notifier.subscribe(an_id()) as appended:
        waiting = asyncio.create_task(
            wait_until_found(
                look, seconds=PATIENCE_SECONDS, appended=appended, look_again_seconds=math.inf
            )
        )
        await asyncio.sleep(0.05)
        notifier.notify([an_id(1)])
        await asyncio.sleep(0.05)
        assert look.looks == 1
        look.found = an_interaction()
        notifier.notify([an_id()])
        assert await waiting
    assert look.looks == 2


async def test_an_append_during_a_look_is_not_missed() -> None:
    appended = asyncio.Event()
    looks = 0

    async def look() -> Interaction | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            appended.set()  # after the look has read, before it returns
            return None
        return an_interaction()

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await wait_until_found(
            look, seconds=PATIENCE_SECONDS, appended=appended, look_again_seconds=math.inf
        )


async def test_without_notifications_it_looks_again_and_once_more_at_the_end() -> None:
    look = CountedLooks()
    assert not await wait_until_found(look, seconds=0.0, appended=asyncio.Event())
    assert look.looks == 1
    assert not await wait_until_found(
        look, seconds=0.05, appended=asyncio.Event(), look_again_seconds=math.inf
    )
    assert look.looks == 3
    waiting = asyncio.create_task(
        wait_until_found(
            look, seconds=PATIENCE_SECONDS, appended=asyncio.Event(), look_again_seconds=0.001
        )
    )
    await asyncio.sleep(0.05)
    look.found = an_interaction()
    assert await waiting


async def test_a_store_that_cannot_be_read_ends_the_wait() -> None:
    async def look() -> Interaction | None:
        raise HistoryUnreadable

    with pytest.raises(HistoryUnreadable):
        await wait_until_found(look, seconds=PATIENCE_SECONDS, appended=asyncio.Event())


async def test_subscriptions_end_with_their_readers() -> None:
    notifier = Notifier[str]()
    with notifier.subscribe(an_id()) as first:
        with notifier.subscribe(an_id()) as second:
            notifier.notify_all()
            assert first.is_set()
            assert second.is_set()
        first.clear()
        notifier.notify([an_id()])
        assert first.is_set()
    assert not notifier._waiting


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    async with open_sqlite(
        tmp_path,
        clock=SystemClock(),
        read_seconds=10.0,
        min_free_disk_bytes=0,
        reap_seconds=0.2,
    ) as history:
        yield history


async def test_a_request_that_never_ended_ends_the_wait_when_it_is_recorded(
    history: SqliteHistory,
) -> None:
    begin(history, an_interaction(), lost_after_seconds=0.0)
    history.markers.write(begun_before_seconds=math.inf)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await history.wait_for("ana", an_id(), seconds=PATIENCE_SECONDS)

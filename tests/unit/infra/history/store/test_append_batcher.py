"""Appends that travel together, and what becomes of each when something goes wrong."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.entities.interaction import Interaction
from domain.exceptions import HistoryUnavailable, Unstorable
from infra.history.store.append_batcher import Batcher
from tests.fakes.interactions import an_id, an_interaction


class Store:
    """Keeps batches; may be told to wait, to fail, or to refuse some."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.refused: set[str] = set()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.fails_with: BaseException | None = None

    async def write(self, interactions: Sequence[Interaction]) -> None:
        await self.may_write.wait()
        if self.fails_with is not None:
            raise self.fails_with
        if self.refused & {one.id for one in interactions}:
            raise Unstorable("too long")
        self.kept += [one.id for one in interactions]


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.mark.seen("D1")
async def test_of_a_batch_only_what_the_store_refuses_fails(store: Store) -> None:
    store.refused = {an_id(4), an_id(9)}
    batcher = Batcher(store.write)
    results = await asyncio.gather(
        *(batcher.add(an_interaction(number)) for number in range(20)), return_exceptions=True
    )
    assert {number for number, one in enumerate(results) if isinstance(one, Unstorable)} == {4, 9}
    assert sorted(store.kept) == [an_id(number) for number in range(20) if number not in {4, 9}]


@pytest.mark.seen("F5")
async def test_a_batcher_that_is_cancelled_ends_and_tells_all_who_wait(store: Store) -> None:
    store.may_write.clear()
    batcher = Batcher(store.write)
    waiting = [asyncio.create_task(batcher.add(an_interaction(0)))]
    await asyncio.sleep(0.01)
    waiting += [asyncio.create_task(batcher.add(an_interaction(number))) for number in (1, 2)]
    await asyncio.sleep(0.01)
    writing = batcher._writing
    assert writing is not None
    writing.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(one) for one in results] == [HistoryUnavailable] * 3
    assert writing.cancelled(), "it did not go on with the next batch"
    assert store.kept == []
    store.may_write.set()
    await batcher.add(an_interaction(3))
    assert store.kept == [an_id(3)]


@pytest.mark.seen("F5")
async def test_a_cancellation_that_a_driver_lets_through_leaves_nobody_waiting(
    store: Store,
) -> None:
    store.fails_with = asyncio.CancelledError()
    batcher = Batcher(store.write)
    with pytest.raises(HistoryUnavailable):
        await batcher.add(an_interaction(0))


async def test_an_unexpected_failure_reaches_its_batch_and_the_next_is_written(
    store: Store,
) -> None:
    store.fails_with = ZeroDivisionError()
    batcher = Batcher(store.write)
    with pytest.raises(ZeroDivisionError):
        await batcher.add(an_interaction(0))
    store.fails_with = None
    await batcher.add(an_interaction(1))
    assert store.kept == [an_id(1)]

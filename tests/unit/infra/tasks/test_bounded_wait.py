"""A driver that does not hear of its cancellation is not waited for."""

import asyncio

import pytest

from infra.tasks.bounded_wait import within
from infra.tasks.supervised import running_tasks


async def deaf(release: asyncio.Event) -> str:
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue
    return "late"


async def test_what_is_in_time_is_returned_and_what_it_raises_is_raised() -> None:
    async def quick() -> str:
        return "done"

    async def broken() -> str:
        raise ZeroDivisionError

    assert await within(5, quick()) == "done"
    with pytest.raises(ZeroDivisionError):
        await within(5, broken())


async def test_who_swallows_the_cancellation_is_left_alone() -> None:
    release = asyncio.Event()
    with pytest.raises(TimeoutError):
        await within(0.01, deaf(release))
    release.set()


async def test_a_cancellation_from_outside_is_not_held_up_either() -> None:
    release = asyncio.Event()
    waiting = asyncio.create_task(within(60, deaf(release)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()


async def test_background_work_that_does_not_hear_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.tasks.supervised.LONGEST_END_SECONDS", 0.01)
    release = asyncio.Event()

    async def work() -> None:
        await deaf(release)

    async with asyncio.timeout(5), running_tasks(work):
        await asyncio.sleep(0)
    release.set()

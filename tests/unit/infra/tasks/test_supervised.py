"""Work beside the requests does not stop because it failed once."""

import asyncio

import pytest

from infra.tasks.supervised import restart_on_failure, running_tasks


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What the loop's exception handler hears; pauses are short."""
    monkeypatch.setattr("infra.tasks.supervised.FIRST_PAUSE_SECONDS", 0.001)
    heard: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: heard.append(context["exception"])
    )
    return heard


async def test_work_that_fails_is_told_and_begun_again(told: list[BaseException]) -> None:
    begun, counted = [], []
    is_done = asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) < 4:
            raise ZeroDivisionError
        is_done.set()
        await asyncio.Event().wait()

    async def counting() -> None:
        await restart_on_failure(work, on_failure=lambda: counted.append(1))

    async with asyncio.timeout(10), running_tasks(counting):
        await is_done.wait()
    assert [type(one) for one in told] == [ZeroDivisionError] * 3
    assert len(counted) == 3


async def test_a_cancellation_nobody_asked_for_is_a_failure(told: list[BaseException]) -> None:
    begun = []
    is_done = asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) == 1:
            lost = asyncio.get_running_loop().create_future()
            lost.cancel()
            await lost
        is_done.set()

    async with asyncio.timeout(10), running_tasks(work):
        await is_done.wait()
    assert [type(one) for one in told] == [asyncio.CancelledError]


async def test_work_that_returns_is_over(told: list[BaseException]) -> None:
    begun = []

    async def work() -> None:
        begun.append(1)

    async with running_tasks(work):
        await asyncio.sleep(0.05)
    assert (len(begun), told) == (1, [])

"""Background tasks do not stop because they failed once."""

import asyncio

import pytest

from infra.tasks.supervised import running_tasks


@pytest.fixture
async def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Failures reported to the loop's exception handler; pauses are short."""
    monkeypatch.setattr("infra.tasks.supervised.FIRST_PAUSE_SECONDS", 0.001)
    errors: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: errors.append(context["exception"])
    )
    return errors


async def test_work_that_fails_is_reported_and_begun_again(reported: list[BaseException]) -> None:
    runs, failures = [], []
    is_done = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise ZeroDivisionError
        is_done.set()
        await asyncio.Event().wait()

    async with (
        asyncio.timeout(120),
        running_tasks(work, on_failure=lambda: failures.append(1)),
    ):
        await is_done.wait()
    assert [type(error) for error in reported] == [ZeroDivisionError] * 3
    assert len(failures) == 3


async def test_a_cancellation_nobody_asked_for_is_a_failure(reported: list[BaseException]) -> None:
    runs = []
    is_done = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
        is_done.set()

    async with asyncio.timeout(120), running_tasks(work):
        await is_done.wait()
    assert [type(error) for error in reported] == [asyncio.CancelledError]


async def test_work_that_returns_is_over(reported: list[BaseException]) -> None:
    runs = []

    async def work() -> None:
        runs.append(1)

    async with running_tasks(work):
        await asyncio.sleep(0.05)
    assert (len(runs), reported) == (1, [])


async def test_work_that_swallows_its_cancellation_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.tasks.supervised.LONGEST_END_SECONDS", 0.01)
    release = asyncio.Event()

    async def work() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(5), running_tasks(work):
        await asyncio.sleep(0)
    release.set()

"""A process that is told to end ends."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from app.process.event_loop import run_event_loop


async def deaf(has_begun: asyncio.Event) -> None:
    """Hear no cancellation, as a driver that waits for a lock nobody will release."""
    has_begun.set()
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            continue


def test_a_task_that_hears_nothing_is_named_and_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.process.event_loop.END_SECONDS", 0.05)

    async def work() -> str:
        has_begun = asyncio.Event()
        work.task = asyncio.create_task(deaf(has_begun), name="the deaf one")  # type: ignore[attr-defined]
        await has_begun.wait()
        return "done"

    assert run_event_loop(work()) == "done"
    assert [record.message for record in caplog.records] == [
        "a task does not end and is left behind (the deaf one)"
    ]


def test_tasks_that_hear_are_ended_and_what_they_raise_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = []

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def untidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    async def work() -> None:
        loop = asyncio.get_running_loop()
        work.tasks = [loop.create_task(tidy()), loop.create_task(untidy(), name="untidy")]  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        raise KeyError("of the work itself")

    with pytest.raises(KeyError):
        run_event_loop(work())
    assert ended == [1]
    assert [record.message for record in caplog.records] == ["a task failed at the end (untidy)"]


def test_a_generator_dropped_half_read_is_closed_by_the_loop() -> None:
    closed = []

    async def pieces() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def work() -> None:
        async for _ in pieces():
            break
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        assert closed == [True]

    run_event_loop(work())


def test_a_generator_half_read_by_a_task_at_the_end_is_closed_with_it() -> None:
    closed = []

    async def pieces() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def read() -> None:
        async with aclosing(pieces()) as some:
            async for _ in some:
                pass

    async def work() -> None:
        kept.append(asyncio.create_task(read()))
        await asyncio.sleep(0)

    kept: list[asyncio.Task[None]] = []
    run_event_loop(work())
    assert closed == [True]

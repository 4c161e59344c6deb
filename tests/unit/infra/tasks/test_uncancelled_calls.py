"""Calls of a driver run to their own end, even after their caller stops waiting."""

import asyncio

import pytest

from infra.tasks.uncancelled_calls import UncancelledCalls


class Call:
    """A call that ends when it is let, and knows whether it was broken off."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.outcome = "under way"

    async def __call__(self) -> str:
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.outcome = "broken off"
            raise
        self.outcome = "ended"
        return "answer"


async def test_what_is_in_time_is_returned_and_what_it_raises_is_raised() -> None:
    async def broken() -> str:
        raise ZeroDivisionError

    calls, call = UncancelledCalls(), Call()
    call.may_end.set()
    assert await calls.within(5, call()) == "answer"
    with pytest.raises(ZeroDivisionError):
        await calls.within(5, broken())


async def test_who_waits_too_long_leaves_it_running() -> None:
    calls, call = UncancelledCalls(), Call()
    with pytest.raises(TimeoutError):
        await calls.within(0.01, call())
    call.may_end.set()
    await calls.settle(5)
    assert call.outcome == "ended"


async def test_who_is_cancelled_leaves_it_running() -> None:
    calls, call = UncancelledCalls(), Call()
    waiting = asyncio.create_task(calls.within(5, call()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    call.may_end.set()
    await calls.settle(5)
    assert call.outcome == "ended"


async def test_settling_waits_no_longer_than_it_is_told_and_the_end_breaks_off() -> None:
    calls, call = UncancelledCalls(), Call()
    with pytest.raises(TimeoutError):
        await calls.within(0.01, call())
    async with asyncio.timeout(5):
        await calls.settle(0.01)
        assert call.outcome == "under way"
        await calls.end(5)
    assert call.outcome == "broken off"

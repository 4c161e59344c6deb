"""A bound on waiting for a driver that may not hear of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns.

    `asyncio.timeout` cancels and then waits for the end; a driver that swallows the cancellation would be waited for
    for ever. Here it is cancelled and left alone.

    Raises:
        TimeoutError: It took longer.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    task.add_done_callback(_ignore)
    task.cancel()


def _ignore(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # or it would be told as never looked at

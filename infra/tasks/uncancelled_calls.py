"""Waiting for a driver whose calls must not be broken off."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class UncancelledCalls:
    """Calls that go on to their own end, however long anybody waits for them.

    PyMongo's asynchronous client waits for its condition variables with `asyncio.wait_for`. A cancellation that comes
    while such a wait is timing out leaves their lock held by nobody: from then on no call gets through, and no task
    that wants the lock hears its own cancellation. So what is asked of it is not cancelled but left alone; the
    driver's own timeouts end it.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        """Return what `call` returns; who is cancelled meanwhile leaves it running.

        Raises:
            TimeoutError: It takes longer, or `end` broke it off; what becomes of it is not known.
        """
        task = asyncio.get_running_loop().create_task(call)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done or task.cancelled():
            raise TimeoutError
        return task.result()

    async def settle(self, seconds: float) -> None:
        """Wait for what is under way, so long at most."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def end(self, seconds: float) -> None:
        """Break off what is under way, and wait for that, so long at most; nothing may be asked of the driver after it."""
        for task in self._under_way:
            task.cancel()
        await self.settle(seconds)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # or it would be told as never looked at

"""Waits for calls of a driver that must not be cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class UncancelledCalls:
    """Driver calls that run to their own end, even after their caller has timed out or was cancelled.

    PyMongo's asynchronous client waits for its condition variables with `asyncio.wait_for`. A cancellation that arrives
    while such a wait is timing out leaves their lock held permanently: from then on every call blocks, and tasks that
    wait for the lock do not end when they are cancelled. Calls are therefore left running; the driver's own timeouts
    end them.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of `call`, which continues if the caller is cancelled meanwhile.

        Raises:
            TimeoutError: The call takes longer, or `end` cancelled it; its outcome is unknown.
        """
        task = asyncio.get_running_loop().create_task(call)
        self._running.add(task)
        task.add_done_callback(self._remove)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done or task.cancelled():
            raise TimeoutError
        return task.result()

    async def settle(self, seconds: float) -> None:
        """Wait for the running calls, at most this many seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def end(self, seconds: float) -> None:
        """Cancel the running calls and wait for them, at most this many seconds; the driver is unusable after it."""
        for task in self._running:
            task.cancel()
        await self.settle(seconds)

    def _remove(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # avoids asyncio's "exception was never retrieved" warning

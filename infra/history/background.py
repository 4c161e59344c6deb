"""Tasks that go on beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from domain.interfaces.clock import Clock

LONGEST_END_SECONDS = 5.0


async def repeat(action: Callable[[], Awaitable[None]], *, seconds: float, clock: Clock) -> None:
    """Do `action` again and again, so many seconds after it last ended; never returns."""
    while True:
        await clock.sleep(seconds)
        await action()


@asynccontextmanager
async def going_on(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `works` beside the body, and cancel them at its end.

    One that fails is told to the loop's exception handler at once; the others go on.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(_tell)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            # not gather: one that swallows its cancellation must not keep the process from ending
            await asyncio.wait(tasks, timeout=LONGEST_END_SECONDS)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler(
            {"message": "a background task ended", "exception": error, "task": task}
        )

"""Tasks that go on beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from domain.interfaces.clock import Clock

LONGEST_END_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

Work = Callable[[], Coroutine[Any, Any, None]]


def repeating(action: Callable[[], Awaitable[None]], *, seconds: float, clock: Clock) -> Work:
    """Return work that does `action` again and again, so many seconds after it last ended."""

    async def repeat() -> None:
        while True:
            await clock.sleep(seconds)
            await action()

    return repeat


@asynccontextmanager
async def running_tasks(*works: Work) -> AsyncIterator[None]:
    """Run `works` beside the body, each until it returns, and cancel them at its end."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(restart_on_failure(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            # not gather: one that swallows its cancellation must not keep the process from ending
            await asyncio.wait(tasks, timeout=LONGEST_END_SECONDS)


async def restart_on_failure(work: Work, *, on_failure: Callable[[], None] = lambda: None) -> None:
    """Run `work` until it returns; whenever it fails, begin it again after a pause.

    Nobody waits for it, so nobody would notice that it ended: a failure is told to the loop's exception handler. A
    cancellation that nobody asked for, such as a driver may let through, counts as one.

    Args:
        work: Begins it.
        on_failure: Is told, too.
    """
    task = asyncio.current_task()
    assert task is not None
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            await work()
            return
        except (Exception, asyncio.CancelledError) as exc:
            if task.cancelling():
                raise
            on_failure()
            task.get_loop().call_exception_handler(
                {
                    "message": "a background task failed, and is begun again",
                    "exception": exc,
                    "task": task,
                }
            )
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

"""Background tasks that are restarted when they fail."""

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
    """Return work that repeats `action` without end, with a pause of this many seconds after each run."""

    async def repeat() -> None:
        while True:
            await clock.sleep(seconds)
            await action()

    return repeat


@asynccontextmanager
async def running_tasks(
    *works: Work, on_failure: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """Run background tasks while the body runs; each ends when it returns, or is cancelled at the end of the body.

    Args:
        works: Start the tasks; see `restart_on_failure`.
        on_failure: Called for each failure of one of them.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(restart_on_failure(work, on_failure)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            # not gather: a task that swallows its cancellation must not keep the process from ending
            await asyncio.wait(tasks, timeout=LONGEST_END_SECONDS)


async def restart_on_failure(work: Work, on_failure: Callable[[], None]) -> None:
    """Run `work` until it returns; whenever it fails, start it again after a pause that doubles from 0.2 s to 5 s.

    A failure is reported to the loop's exception handler, since no caller awaits the task. A `CancelledError` without
    a request to cancel the task, such as a driver may let through, counts as a failure.

    Args:
        work: Starts the work.
        on_failure: Called for each failure.
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
                    "message": "a background task failed and is restarted",
                    "exception": exc,
                    "task": task,
                }
            )
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

"""Runs the event loop, and ends it within a bounded time."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

END_SECONDS = 5.0


def run_event_loop(
    work: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run `work` in a new event loop and return its result.

    Unlike `asyncio.run`, it does not wait for tasks that ignore their cancellation, since these would keep the process
    from stopping. They are logged and abandoned after `END_SECONDS`.
    """
    loop = (loop_factory or asyncio.new_event_loop)()
    try:
        return loop.run_until_complete(_without_generator_tracking(work))
    finally:
        try:
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


def log_start_failure(error: BaseException, exit_code: int) -> None:
    """Log the message of an error that the operator has to correct, in one line without a stack trace."""
    fields = {
        "error": {"type": type(error).__qualname__, "message": str(error)},
        "process": {"exit_code": exit_code},
    }
    _LOGGER.critical("%s", error, extra={"ecs": fields})


async def _without_generator_tracking(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` without the event loop's list of asynchronous generators, which costs time for each generator.

    A chat uses seven of them. The list only serves to close generators at the end of the loop, and the tasks that
    consume and close them end before that. Generators that are dropped before their end are still finalised.
    """
    sys.set_asyncgen_hooks(firstiter=None)
    return await work


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    done, pending = await asyncio.wait(tasks, timeout=END_SECONDS)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a task failed at the end (%s)", task.get_name(), exc_info=error)
    for task in pending:
        _LOGGER.error("a task does not end and is left behind (%s)", task.get_name())
    if pending:
        _silence(pending)


def _silence(logged: set[asyncio.Task[Any]]) -> None:
    """Suppress asyncio's "Task was destroyed but it is pending" for tasks that are logged already."""
    loop = asyncio.get_running_loop()
    handle = loop.get_exception_handler() or type(loop).default_exception_handler

    def handle_others(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("task") not in logged:
            handle(loop, context)

    loop.set_exception_handler(handle_others)

"""The event loop, from its start to an end that nothing can hold up."""

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
    """Return what `work` returns, run in a loop of its own.

    As `asyncio.run`, which however waits for every task that is left, for ever if one does not hear its cancellation:
    a process told to stop would not stop. Here those are named in the log and left behind.
    """
    loop = (loop_factory or asyncio.new_event_loop)()
    try:
        return loop.run_until_complete(_without_list_of_generators(work))
    finally:
        try:
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


def tell_why_it_does_not_start(error: BaseException, exit_code: int) -> None:
    """Log one line with what somebody has to change, in the error's own words."""
    fields = {
        "error": {"type": type(error).__qualname__, "message": str(error)},
        "process": {"exit_code": exit_code},
    }
    _LOGGER.critical("%s", error, extra={"ecs": fields})


async def _without_list_of_generators(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` in a loop that does not write down each asynchronous generator to close it in the end.

    A chat goes through seven. Each is closed by who reads it, and that is a task, which ends before the loop; what is
    dropped half read is closed by the loop as ever.
    """
    sys.set_asyncgen_hooks(firstiter=None)
    return await work


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    done, ignoring = await asyncio.wait(tasks, timeout=END_SECONDS)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a task failed at the end (%s)", task.get_name(), exc_info=error)
    for task in ignoring:
        _LOGGER.error("a task does not end and is left behind (%s)", task.get_name())
    if ignoring:
        _silence(ignoring)


def _silence(logged: set[asyncio.Task[Any]]) -> None:
    """Keep the loop from reporting these tasks once more, as destroyed while pending."""
    loop = asyncio.get_running_loop()
    handle = loop.get_exception_handler() or type(loop).default_exception_handler

    def handle_others(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("task") not in logged:
            handle(loop, context)

    loop.set_exception_handler(handle_others)

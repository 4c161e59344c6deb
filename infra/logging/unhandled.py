"""Logs unhandled exceptions, instead of Python's own output on stderr."""

import asyncio
import logging
import sys
import threading
from types import TracebackType
from typing import Any

_LOGGER = logging.getLogger(__name__)


def log_unhandled() -> None:
    """Log exceptions that end the process or a thread, or that occur in a finaliser."""
    sys.excepthook = _in_process
    threading.excepthook = _in_thread
    sys.unraisablehook = _in_finaliser


def log_unhandled_in(loop: asyncio.AbstractEventLoop) -> None:
    """Log unhandled exceptions of tasks and callbacks of `loop`, without their arguments and results."""
    loop.set_exception_handler(_in_loop)


def _in_process(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _LOGGER.info("interrupted")
    else:
        _LOGGER.critical("unhandled exception", exc_info=(kind, error, trace))


def _in_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "?"
    _LOGGER.error("unhandled exception in thread %s", name, exc_info=args.exc_value)


def _in_finaliser(args: "sys.UnraisableHookArgs") -> None:
    _LOGGER.error(
        "unhandled exception in a finaliser of %s",
        getattr(args.object, "__qualname__", type(args.object).__qualname__),
        exc_info=args.exc_value,
    )


def _in_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    task = context.get("task") or context.get("future")
    about = f" ({task.get_name()})" if isinstance(task, asyncio.Task) else ""
    error = context.get("exception")
    _LOGGER.error("%s%s", context.get("message", "unhandled"), about, exc_info=error)

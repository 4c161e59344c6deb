"""Runs the server and returns the exit code of the process."""

import logging
from collections.abc import Callable

from starlette.types import ASGIApp

from app.process.event_loop import log_start_failure, run_event_loop
from app.server.lifespan import StartFailed
from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import CannotListen, SharedSockets, allow_open_files, listen

_LOGGER = logging.getLogger("app.server")


def serve(
    app: ASGIApp,
    options: ServeOptions,
    *,
    shared: SharedSockets | None = None,
    on_started: Callable[[], None] = lambda: None,
    on_listening: Callable[[str], None] = lambda _: None,
    on_stopping: Callable[[], None] = lambda: None,
    on_grace_over: Callable[[], None] = lambda: None,
    exit_code_of: Callable[[BaseException], int | None] = lambda _: None,
) -> int:
    """Serve `app` until SIGTERM or SIGINT, and return the exit code of the process: 0 after an orderly shutdown.

    If it cannot listen on its address, it logs one line and returns 1.

    Args:
        app: ASGI application; its lifespan opens and closes its resources.
        options: Address and limits.
        shared: Sockets to use; None opens the address of `options`.
        on_started: Called once the application has started and the server accepts connections.
        on_listening: Called after that with the URL of its first address.
        on_stopping: Withdraws readiness.
        on_grace_over: Ends open streams.
        exit_code_of: Returns the exit code for an exception of the lifespan, whose message is then logged in one line;
            None for an unexpected exception, which is logged with its stack, and exit code 1.
    """
    logging.getLogger("uvicorn").setLevel(
        logging.WARNING
    )  # this package logs start and stop itself
    try:
        sockets = listen(options.host, options.port) if shared is None else shared.sockets
    except CannotListen as exc:
        _LOGGER.critical("%s", exc)
        return 1
    allow_open_files(options.max_connections)
    server = Server(
        app,
        options,
        on_started=on_started,
        on_listening=on_listening,
        on_stopping=on_stopping,
        on_grace_over=on_grace_over,
        shared=shared,
    )
    try:
        run_event_loop(server.serve(sockets), server.config.get_loop_factory())
    except StartFailed as exc:
        return _start_failed(exc.__cause__, exit_code_of)
    finally:
        for listening in sockets:
            listening.close()
    return 1 if server.lifespan.should_exit else 0


def _start_failed(
    cause: BaseException | None, exit_code_of: Callable[[BaseException], int | None]
) -> int:
    code = None if cause is None else exit_code_of(cause)
    if cause is None or code is None:
        _LOGGER.critical("the application failed to start", exc_info=cause)
        return 1
    log_start_failure(cause, code)
    return code

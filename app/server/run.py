"""From a start to an exit code."""

import logging
from collections.abc import Callable

from starlette.types import ASGIApp

from app.process.event_loop import run_event_loop, tell_why_it_does_not_start
from app.server.lifespan import StartFailed
from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import allow_open_files, listening_sockets

_LOGGER = logging.getLogger("app.server")


def serve(
    app: ASGIApp,
    options: ServeOptions,
    *,
    on_started: Callable[[], None] = lambda: None,
    on_stopping: Callable[[], None] = lambda: None,
    on_grace_over: Callable[[], None] = lambda: None,
    exit_code_of: Callable[[BaseException], int | None] = lambda _: None,
) -> int:
    """Serve `app` until SIGTERM or SIGINT, and return the process's exit code: 0 after an orderly end.

    An address that cannot be listened on is one line in the log, and 1.

    Args:
        app: Its lifespan opens and closes what it needs.
        options: Where to listen, and the limits.
        on_started: Called once, when the application has started and clients are let in.
        on_stopping: Withdraws readiness.
        on_grace_over: Ends what still runs, such as streams.
        exit_code_of: The exit code for what the lifespan raised, which is then one line in the log, in its own
            words; None for a failure that nobody foresaw, which is logged with its stack, and 1.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its life is told here, in fewer lines
    try:
        sockets = listening_sockets(options.host, options.port)
    except OSError as exc:
        _LOGGER.critical("cannot listen on %s port %d: %s", options.host, options.port, exc)
        return 1
    allow_open_files(options.max_connections)
    server = Server(
        app,
        options,
        on_started=on_started,
        on_stopping=on_stopping,
        on_grace_over=on_grace_over,
    )
    try:
        run_event_loop(server.serve(sockets), server.config.get_loop_factory())
    except StartFailed as exc:
        return _not_started(exc.__cause__, exit_code_of)
    finally:
        for listening in sockets:
            listening.close()
    return 1 if server.lifespan.should_exit else 0


def _not_started(
    cause: BaseException | None, exit_code_of: Callable[[BaseException], int | None]
) -> int:
    code = None if cause is None else exit_code_of(cause)
    if cause is None or code is None:
        _LOGGER.critical("the application failed to start", exc_info=cause)
        return 1
    tell_why_it_does_not_start(cause, code)
    return code

"""Serves with several processes on one port."""

import logging
import os
from collections.abc import Callable

from app.process import garbage_collection
from app.process.supervisor import Supervisor
from app.server import ServeOptions, SharedSockets, listen
from infra.configuration import ConfigurationError
from infra.settings import Settings
from infra.stores.registry import configured_store, remote_store_settings

_LAST_PORT = 65_535
_LOGGER = logging.getLogger(__name__)

ServeHere = Callable[[Settings, SharedSockets, Callable[[], None]], int]
"""Serves on the sockets in this process, calls the function when it does, and returns the exit code."""


def process_count(settings: Settings) -> int:
    """Return how many processes are to serve; logs why if these are fewer than WORKERS.

    Raises:
        ConfigurationError: The settings select more than one store.
    """
    if settings.workers == 1:
        return 1
    reason = None
    if configured_store(settings).is_embedded:
        reason = (
            "the embedded store is used by one process; "
            f"with {remote_store_settings()} there can be several"
        )
    elif not hasattr(os, "fork"):
        reason = "this system cannot fork processes"
    if reason is None:
        return settings.workers
    _LOGGER.warning("WORKERS=%d is ignored: %s", settings.workers, reason)
    return 1


def serve_in_processes(
    settings: Settings, options: ServeOptions, count: int, serve_here: ServeHere
) -> int:
    """Serve with `count` copies of this process until SIGTERM or SIGINT; return the exit code in each process.

    The processes share the modules that were imported before, so they start faster and need less memory.

    Raises:
        ConfigurationError: The ports for the metrics of all processes are not ports.
        CannotListen: The address is in use, or not one of this machine.
    """
    if settings.metrics_port and settings.metrics_port + count - 1 > _LAST_PORT:
        raise ConfigurationError(
            f"METRICS_PORT: process i of WORKERS uses METRICS_PORT + i, which is above {_LAST_PORT}"
        )
    sockets = listen(options.host, options.port)

    def close_sockets() -> None:
        for listening in sockets:
            listening.close()

    garbage_collection.freeze()
    process = Supervisor(count, options.longest_stop_seconds, on_stopping=close_sockets).run()
    if isinstance(process, int):
        return process
    process.stop_without_supervisor(options.longest_stop_seconds)
    is_announced = process.number == 0 and not process.is_replacement
    if not is_announced:
        # The first process logs which providers are skipped.
        logging.getLogger("infra.llm.catalogue").setLevel(logging.WARNING)
    return serve_here(
        _settings_of(settings, process.number),
        SharedSockets(sockets, is_announced),
        process.note_serving,
    )


def _settings_of(settings: Settings, number: int) -> Settings:
    """Return the settings of process `number`, from 0 on: with a port of its own for its metrics."""
    if not settings.metrics_port:
        return settings
    return settings.model_copy(update={"metrics_port": settings.metrics_port + number})

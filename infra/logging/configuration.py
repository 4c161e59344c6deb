"""Sends everything the process says through one formatter to stdout."""

import asyncio
import logging
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Literal

from infra.configuration import read_environment
from infra.logging.ecs import EcsFormatter
from infra.logging.pretty import PrettyFormatter
from infra.logging.unhandled import log_unhandled
from infra.product import SERVICE_NAME, VERSION
from infra.settings.telemetry import TelemetrySettings

_OURS = ("app", "domain", "infra", "main", "dependency_injection", "commands")

_EACH_REQUEST = "app.access"


class _LineHandler(logging.Handler):
    """Writes whole lines of UTF-8, whatever the locale; a reader who is gone is no reason to fail.

    The lines that requests leave in one turn of an event loop go out at the end of it, in one call of the kernel;
    whatever else is said at once, after all that was said before.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if record.name != _EACH_REQUEST or (loop := asyncio._get_running_loop()) is None:
            self.flush()
        elif len(self._lines) == 1:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what was said and is not written yet. Python's `logging` asks for it at the end of the process."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if not lines:
                return
            lines.append("")
            # A broken pipe, a closed stream: there is no place to say so.
            with suppress(OSError, ValueError):
                self._stream.write("\n".join(lines).encode())
                self._stream.flush()


def log_as_configured(settings: TelemetrySettings) -> None:
    """Let everything the process says go through one formatter."""
    configure_logging(
        settings.log_level,
        service_name=SERVICE_NAME,
        version=VERSION,
        environment=settings.environment,
        log_format=settings.log_format,
    )


def log_until_settings_are_known() -> None:
    """Let everything go through one formatter before the settings are read, which may fail.

    Without LOG_FORMAT a person at a terminal gets the format for persons.
    """
    try:
        said = read_environment(Path(".env"))
    except (OSError, ValueError):  # whoever reads the settings says so
        said = {}
    log_format = said.get("LOG_FORMAT") or ("pretty" if sys.stdout.isatty() else "json")
    configure_logging(
        "info",
        service_name=SERVICE_NAME,
        version=VERSION,
        environment=said.get("ENVIRONMENT", "development"),
        log_format="pretty" if log_format == "pretty" else "json",
    )


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    *,
    service_name: str,
    version: str,
    environment: str,
    log_format: Literal["json", "pretty"] = "json",
    stream: IO[bytes] | None = None,
) -> None:
    """Let every logger, warning and unhandled exception of the process write one line to `stream`, else stdout.

    `debug` is for our own loggers only: drivers print requests there, and with them prompts.
    A second call replaces the first.
    """
    formatter: logging.Formatter
    if log_format == "pretty":
        formatter = PrettyFormatter()
    else:
        formatter = EcsFormatter(
            service_name=service_name, version=version, environment=environment
        )
    handler = _LineHandler(stream or sys.stdout.buffer)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for earlier in root.handlers:
        earlier.flush()
    root.handlers[:] = [handler]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(threshold, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(threshold)
    _take_over_loggers_made_so_far()
    _skip_what_no_line_shows()
    logging.captureWarnings(True)
    log_unhandled()


def _take_over_loggers_made_so_far() -> None:
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    # Its line says less than our own one of the same request. Without a way to a handler the server does not even make it.
    logging.getLogger("uvicorn.access").propagate = False


def _skip_what_no_line_shows() -> None:
    """Switch off what records would carry for nothing (Python's logging HOWTO, "Optimization")."""
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging._srcfile = None  # the HOWTO's name for "do not look for the caller"

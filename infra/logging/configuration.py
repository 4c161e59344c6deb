"""Sends all log records of the process through one formatter to stdout."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Literal

from infra.configuration import read_environment
from infra.logging.ecs import EcsFormatter
from infra.logging.pretty import PrettyFormatter
from infra.logging.unhandled import log_unhandled
from infra.product import SERVICE_NAME, VERSION
from infra.settings.telemetry import TelemetrySettings

_OWN_LOGGERS = ("app", "domain", "infra", "main", "dependency_injection", "commands")

_ACCESS_LOGGER = "app.access"

_PIPE_BYTES = 4096
"""PIPE_BUF of Linux: the size up to which a write to a pipe is atomic."""

LogFormat = Literal["auto", "json", "pretty"]


class _LineHandler(logging.Handler):
    """Writes complete lines of UTF-8, whatever the locale; errors of the stream are ignored.

    Lines of the access log are collected for one iteration of the event loop and written in few system calls; other
    lines are written at once, after the collected ones. Several processes may write to the same pipe: a write of up to
    `_PIPE_BYTES` is never mixed with theirs, so longer ones are split between lines.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if record.name != _ACCESS_LOGGER or (loop := _running_loop()) is None:
            self.flush()
        elif len(self._lines) == 1:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write the collected lines. Also called by `logging.shutdown` at the end of the process."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if not lines:
                return
            # A broken pipe or a closed stream cannot be logged anywhere.
            with suppress(OSError, ValueError):
                for block in _blocks(lines):
                    self._stream.write(block)
                    self._stream.flush()


def _blocks(lines: list[str]) -> Iterator[bytes]:
    """Yield the lines, each with its end, in blocks of up to `_PIPE_BYTES`; a longer line is a block of its own."""
    block = b""
    for line in lines:
        data = line.encode() + b"\n"
        if block and len(block) + len(data) > _PIPE_BYTES:
            yield block
            block = b""
        block += data
    yield block


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def log_as_configured(settings: TelemetrySettings) -> None:
    """Configure logging from the settings."""
    configure_logging(
        settings.log_level,
        service_name=SERVICE_NAME,
        version=VERSION,
        environment=settings.environment,
        log_format=settings.log_format,
    )


def log_until_settings_are_known() -> None:
    """Configure logging before the settings are read, so that their errors are logged."""
    try:
        environment = read_environment(Path(".env"))
    except (OSError, ValueError):  # reported when the settings are read
        environment = {}
    log_format = environment.get("LOG_FORMAT")
    configure_logging(
        "info",
        service_name=SERVICE_NAME,
        version=VERSION,
        environment=environment.get("ENVIRONMENT", "development"),
        log_format="json"
        if log_format == "json"
        else "pretty"
        if log_format == "pretty"
        else "auto",
    )


def is_pretty(log_format: LogFormat) -> bool:
    """Return whether log lines on stdout are written for a person."""
    return log_format == "pretty" or (log_format == "auto" and sys.stdout.isatty())


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    *,
    service_name: str,
    version: str,
    environment: str,
    log_format: LogFormat = "json",
    stream: IO[bytes] | None = None,
) -> None:
    """Log records, warnings and unhandled exceptions of the process as one line each to `stream`, else to stdout.

    The level `debug` applies to our own loggers only, since drivers log requests, and so prompts, at that level.
    A second call replaces the configuration.
    """
    formatter: logging.Formatter
    if is_pretty(log_format):
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
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(threshold)
    _reset_existing_loggers()
    _skip_unused_fields()
    logging.captureWarnings(True)
    log_unhandled()


def _reset_existing_loggers() -> None:
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    # Our access log contains more. Without a handler uvicorn does not create the record.
    logging.getLogger("uvicorn.access").propagate = False


def _skip_unused_fields() -> None:
    """Do not collect fields of records that no format shows (Python's logging HOWTO, "Optimization")."""
    logging._srcfile = None  # the file and line of the call, which take a walk through the stack
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False

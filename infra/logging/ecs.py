"""Log records in the Elastic Common Schema (ECS), one JSON object per line."""

import logging
import time
from collections.abc import Mapping

from infra.logging.failures import describe
from infra.logging.json_line import json_line
from infra.logging.redaction import redact

_ECS_VERSION = "8.11.0"
_RESERVED = frozenset({"@timestamp", "log", "ecs", "service", "message"})
_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}
_MOST_MESSAGE_CHARACTERS = 8192


class EcsFormatter(logging.Formatter):
    """Formats records as ECS. `extra={"ecs": {...}}` adds nested fields, except those that the formatter sets itself."""

    def __init__(self, *, service_name: str, version: str, environment: str) -> None:
        super().__init__()
        self._service = {"name": service_name, "version": version, "environment": environment}
        self._heads: dict[tuple[str, int], str] = {}
        self._second = -1
        self._second_as_text = ""

    def format(self, record: logging.LogRecord) -> str:
        head = self._heads.get((record.name, record.levelno)) or self._make_head(record)
        document: dict[str, object] = {"message": message_of(record)}
        fields = fields_of(record)
        if fields:
            document |= fields if _RESERVED.isdisjoint(fields) else _without_reserved(fields)
        if record.exc_info and record.exc_info[1] is not None:
            document["error"] = describe(record.exc_info[1])
        second = self._to_the_second(int(record.created))
        time_and_head = f'{{"@timestamp":"{second}.{int(record.msecs):03d}Z",{head}'
        return time_and_head + redact(json_line(document))[1:]

    def _make_head(self, record: logging.LogRecord) -> str:
        """Return the fields common to all lines of this logger and level, as the content of a JSON object."""
        fields = {
            "log": {"level": level_of(record), "logger": record.name},
            "ecs": {"version": _ECS_VERSION},
            "service": self._service,
        }
        head = self._heads[record.name, record.levelno] = f"{json_line(fields)[1:-1]},"
        return head

    def _to_the_second(self, second: int) -> str:
        if second != self._second:
            self._second_as_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return self._second_as_text


def _without_reserved(fields: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in fields.items() if key not in _RESERVED}


def level_of(record: logging.LogRecord) -> str:
    """Return the level in lower case."""
    return _LEVELS.get(record.levelno) or record.levelname.lower()


def message_of(record: logging.LogRecord) -> str:
    """Return the message, truncated if very long; if it cannot be formatted, the format string without arguments."""
    try:
        message = record.getMessage()
    except Exception as exc:  # noqa: BLE001 - a library's format string or __str__ may raise anything
        message = f"{record.msg!r:.200} (its arguments raised {type(exc).__qualname__})"
    if len(message) > _MOST_MESSAGE_CHARACTERS:
        return f"{message[:_MOST_MESSAGE_CHARACTERS]}…"
    return message


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """Return the nested fields added with `extra={"ecs": ...}`."""
    fields = record.__dict__.get("ecs")
    return fields if isinstance(fields, dict | Mapping) else {}

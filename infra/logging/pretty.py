"""Human-readable log format for terminals."""

import logging
import time
from collections.abc import Iterator, Mapping

from infra.logging.ecs import fields_of, level_of, message_of
from infra.logging.failures import describe
from infra.logging.json_line import json_line
from infra.logging.redaction import redact

_SHOWN = {
    "http.request.method": "",
    "url.path": "",
    "http.response.status_code": "",
    "event.duration": "took",
    "gen_ai.response.model": "model",
    "http.request.id": "id",
}
_NANOSECONDS_PER_MILLISECOND = 1_000_000


class PrettyFormatter(logging.Formatter):
    """Shows time, level, message and a few fields; the JSON format contains all."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(_shown(fields_of(record)))
        line = f"{clock}.{int(record.msecs):03d} {level_of(record):<8} {message_of(record)}"
        text = _sanitised(f"{line}  {fields}" if fields else line)
        if record.exc_info and record.exc_info[1] is not None:
            stack = describe(record.exc_info[1])["stack_trace"]
            text += "\n" + "\n".join(_sanitised(part) for part in stack.splitlines())
        return text


def _shown(fields: Mapping[str, object]) -> Iterator[str]:
    leaves = dict(_leaves(fields, ""))
    for path, name in _SHOWN.items():
        value = leaves.get(path)
        if value is None:
            continue
        if path == "event.duration" and isinstance(value, int):
            value = f"{value / _NANOSECONDS_PER_MILLISECOND:.1f}ms"
        yield f"{name}={value}" if name else str(value)


def _leaves(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _sanitised(text: str) -> str:
    """Return text on one line, without secrets and terminal control characters."""
    return (
        redact(json_line({"": text}))[len('{"":"') : -len('"}')]
        .replace('\\"', '"')
        .replace("\\\\", "\\")
    )

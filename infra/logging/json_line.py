"""A dictionary as one line of JSON, whatever is in it."""

import re
from collections.abc import Mapping

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS
_LARGEST_INTEGER = (1 << 63) - 1
_DEEPEST = 12

_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What JSON leaves as it is, although a terminal obeys it, a log viewer breaks lines at it, or nobody sees it."""


def json_line(fields: Mapping[str, object]) -> str:
    """Return one line of valid JSON without control characters; never fails.

    What is not plain data is shown as the name of its type, never by its contents: an entity holds a prompt.
    """
    try:
        line = orjson.dumps(fields, default=_type_name, option=_OPTIONS).decode()
    except (TypeError, RecursionError):  # orjson's own error is a TypeError
        line = orjson.dumps(_plain(fields, 0), option=_OPTIONS).decode()
    if line.isascii() and "\x7f" not in line:
        return line
    return _UNSEEN.sub(_escaped, line)


def _type_name(value: object) -> str:
    return f"<{type(value).__qualname__}>"


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _plain(value: object, depth: int) -> object:
    """Return `value` as what orjson accepts."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {_whole(str(key)): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [_plain(item, depth + 1) for item in value]
    return _type_name(value)


def _whole(text: str) -> str:
    """Return text without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()

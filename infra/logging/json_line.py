"""Serialises a dictionary with any values as one line of JSON."""

import re
from collections.abc import Mapping

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS
_LARGEST_INTEGER = (1 << 63) - 1
_DEEPEST = 12

_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control and invisible characters that JSON does not escape, but that affect terminals or log viewers."""


def json_line(fields: Mapping[str, object]) -> str:
    """Return one line of valid JSON without control characters. Does not raise.

    Values that are not plain data are replaced by the name of their type, since an entity may contain a prompt.
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
    """Return `value` in a form that orjson accepts."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {
                _without_surrogates(str(key)): _plain(item, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [_plain(item, depth + 1) for item in value]
    return _type_name(value)


def _without_surrogates(text: str) -> str:
    """Return text without lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()

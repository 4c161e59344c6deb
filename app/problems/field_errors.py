"""What is wrong with a request, field by field, without repeating what was sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNSUPPORTED = "unsupported_parameter"
"""The type of a validation error that says: known, but this service does not do it."""

_MOST_ERRORS = 20
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_WORDS = {
    "extra_forbidden": "unknown; not taken here",
    "repeated": "may be given once only",
    UNSUPPORTED: "not supported by this service",
}
_FIXED = re.compile(
    r"^(Field required|(Input|String|Value|List) should .*|Value error, (must|one of) .*)$",
    re.ASCII,
)
_ANY_OTHER = "not valid"


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return `{"pointer", "message"}` for each of pydantic's errors, at most twenty.

    A name or message that is not known to be ours is left out: it might be the caller's own text.
    """
    found: dict[str, str] = {}
    for error in errors:
        pointer = _pointer(error["loc"])
        if pointer not in found and len(found) < _MOST_ERRORS:
            found[pointer] = _message(error)
    return [{"pointer": pointer, "message": message} for pointer, message in found.items()]


def _pointer(location: Sequence[str | int]) -> str:
    where, *names = location
    steps = [str(name) if _SAFE_NAME.fullmatch(str(name)) else "?" for name in names]
    if where == "body":
        return "/" + "/".join(steps)
    return "/".join([str(where), *steps])


def _message(error: Mapping[str, Any]) -> str:
    if (words := _WORDS.get(error["type"])) is not None:
        return words
    message: str = error.get("msg", _ANY_OTHER)
    return message.removeprefix("Value error, ") if _FIXED.match(message) else _ANY_OTHER

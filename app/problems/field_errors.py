"""Error messages per field of an invalid request, without values of the request."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNSUPPORTED = "unsupported_parameter"
"""Type of the validation error for a field of the format that this service does not support."""

_MAX_ERRORS = 20
_KEY = "[key]"
"""Last step of the location of an error in the name of a member."""
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{0,64}", re.ASCII)
_MESSAGES_BY_TYPE = {
    "extra_forbidden": "unknown; not taken here",
    "repeated": "may be given once only",
    UNSUPPORTED: "not supported by this service",
}
_SAFE_MESSAGE = re.compile(
    r"^(Field required|(Input|String|Value|List) should .*|Value error, (must|one of) .*)$",
    re.ASCII,
)
_DEFAULT_MESSAGE = "not valid"


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return `{"pointer", "message"}` for each invalid field, at most twenty.

    Names and messages that may contain text of the request are replaced.
    """
    messages: dict[str, str] = {}
    for error in errors:
        pointer = _pointer(error["loc"])
        if pointer not in messages and len(messages) < _MAX_ERRORS:
            messages[pointer] = _message(error)
    return [{"pointer": pointer, "message": message} for pointer, message in messages.items()]


def _pointer(location: Sequence[str | int]) -> str:
    source, *names = location
    if names and names[-1] == _KEY:
        names.pop()
    steps = [str(name) if _SAFE_NAME.fullmatch(str(name)) else "?" for name in names]
    if source == "body":
        return "/" + "/".join(steps)
    return "/".join([str(source), *steps])


def _message(error: Mapping[str, Any]) -> str:
    fixed = _MESSAGES_BY_TYPE.get(error["type"])
    if fixed is not None:
        return fixed
    message: str = error.get("msg", _DEFAULT_MESSAGE)
    return (
        message.removeprefix("Value error, ") if _SAFE_MESSAGE.match(message) else _DEFAULT_MESSAGE
    )

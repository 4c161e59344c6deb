"""Problems in the words of OpenAI's API, for the routes whose callers speak it."""

import re
from collections.abc import Mapping, Sequence

from pydantic.alias_generators import to_snake

from app.problems import problem_table as table
from app.problems.problem_table import ProblemKind

MEDIA_TYPE = "application/json"

_PREFIXES = ("/v1/chat/completions", "/v1/models")
_SPECIAL: Mapping[ProblemKind, tuple[int, str]] = {
    table.UNKNOWN_MODEL: (404, "model_not_found"),
    table.CONTENT_BLOCKED: (400, "content_filter"),
    table.CONTEXT_TOO_LONG: (400, "context_length_exceeded"),
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_OUR_NAMES = {"max_output_tokens": "max_completion_tokens"}
_INDEX = re.compile(r"\.(\d+)(?=\.|$)", re.ASCII)


def speaks_openai(path: str) -> bool:
    """Return whether callers of `path` expect errors as OpenAI's API tells them."""
    return path.startswith(_PREFIXES) and any(
        path == prefix or path.startswith(prefix + "/") for prefix in _PREFIXES
    )


def openai_status(kind: ProblemKind) -> int:
    """Return the HTTP status OpenAI's API has for this row."""
    return _SPECIAL[kind][0] if kind in _SPECIAL else kind.status


def openai_code(kind: ProblemKind) -> str:
    """Return the row's `code`: OpenAI's own where clients know one, else the slug."""
    return _SPECIAL[kind][1] if kind in _SPECIAL else kind.slug.replace("-", "_")


def openai_error(
    kind: ProblemKind, errors: Sequence[Mapping[str, str]] = ()
) -> dict[str, dict[str, str | None]]:
    """Return OpenAI's error object.

    Args:
        kind: The row of the table.
        errors: What is wrong with the request, as `field_errors` tells it; the first names `param`.
    """
    status = openai_status(kind)
    params = [_param(error["pointer"]) for error in errors]
    message = kind.detail
    if errors:
        told = [f"{param}: {error['message']}" for param, error in zip(params, errors, strict=True)]
        message = f"{kind.title}: {'; '.join(told)}"
    return {
        "error": {
            "message": message,
            "type": _TYPES.get(status)
            or ("server_error" if status >= 500 else "invalid_request_error"),
            "param": params[0] if params else None,
            "code": openai_code(kind),
        }
    }


def should_retry(kind: ProblemKind) -> str:
    """Return the value of `x-should-retry`: the SDKs retry 408, 409, 429 and 5xx otherwise, and pay again."""
    return "true" if kind.retryable else "false"


def _param(pointer: str) -> str:
    """Return `messages[0].content` for `/messages/0/content`, and the bare name for `header/…` and `path/…`."""
    if not pointer.startswith("/"):
        return pointer.partition("/")[2]
    name = to_snake(pointer[1:].replace("/", "."))
    return _INDEX.sub(r"[\1]", _OUR_NAMES.get(name, name))

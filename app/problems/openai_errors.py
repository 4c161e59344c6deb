"""Converts problems to errors in OpenAI's format, for the routes that follow its API."""

import re
from collections.abc import Mapping, Sequence

from pydantic.alias_generators import to_snake

from app.problems import problem_table as table
from app.problems.problem_table import ProblemKind

MEDIA_TYPE = "application/json"

_PREFIXES = (
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/responses",
    "/v1/conversations",
)
_SPECIAL: Mapping[ProblemKind, tuple[int, str]] = {
    table.UNKNOWN_MODEL: (404, "model_not_found"),
    table.CONTENT_BLOCKED: (400, "content_filter"),
    table.CONTEXT_TOO_LONG: (400, "context_length_exceeded"),
    table.TOOL_RESULTS_MISSING: (400, "tool_results_missing"),
    table.NO_SUCH_OPEN_CALL: (400, "invalid_request"),
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_RESPONSES = "/v1/responses"
_CHAT_NAMES = {"tool_results": "messages"}
_RESPONSES_NAMES = {"tool_results": "input", "attachments": "input"}
_INDEX = re.compile(r"\.(\d+)(?=\.|$)", re.ASCII)


def uses_openai_errors(path: str) -> bool:
    """Return whether errors of the route at `path` are in OpenAI's format."""
    return path.startswith(_PREFIXES) and any(
        path == prefix or path.startswith(prefix + "/") for prefix in _PREFIXES
    )


def openai_status(kind: ProblemKind) -> int:
    """Return the HTTP status of OpenAI's API for this kind of problem."""
    return _SPECIAL[kind][0] if kind in _SPECIAL else kind.status


def openai_code(kind: ProblemKind) -> str:
    """Return the `code` of OpenAI's API for this kind of problem, if it has one, else the slug."""
    return _SPECIAL[kind][1] if kind in _SPECIAL else kind.slug.replace("-", "_")


def openai_error(
    kind: ProblemKind, path: str, errors: Sequence[Mapping[str, str]] = ()
) -> dict[str, dict[str, str | None]]:
    """Return OpenAI's error object.

    Args:
        kind: Kind of problem.
        path: Path of the route, whose names for fields are used.
        errors: Invalid fields, as returned by `field_errors`; `param` is the first of them.
    """
    status = openai_status(kind)
    names = _RESPONSES_NAMES if path.startswith(_RESPONSES) else _CHAT_NAMES
    params = [_param(error["pointer"], names) for error in errors]
    return {
        "error": {
            "message": field_message(kind, errors, names),
            "type": _TYPES.get(status)
            or ("server_error" if status >= 500 else "invalid_request_error"),
            "param": params[0] if params else None,
            "code": openai_code(kind),
        }
    }


def field_message(
    kind: ProblemKind,
    errors: Sequence[Mapping[str, str]],
    names: Mapping[str, str] = _CHAT_NAMES,
) -> str:
    """Return the detail of a problem, or its title with the invalid fields.

    Args:
        kind: Kind of problem.
        errors: Invalid fields, as returned by `field_errors`.
        names: The API's names for fields that it calls otherwise.
    """
    if not errors:
        return kind.detail
    messages = [f"{_param(error['pointer'], names)}: {error['message']}" for error in errors]
    return f"{kind.title}: {'; '.join(messages)}"


def should_retry(kind: ProblemKind) -> str:
    """Return the value of `x-should-retry`; without it, SDKs retry every 408, 409, 429 and 5xx at additional cost."""
    return "true" if kind.retryable else "false"


def _param(pointer: str, names: Mapping[str, str]) -> str:
    """Return `messages[0].content` for `/messages/0/content`, and the name alone for `header/…` and `path/…`."""
    if not pointer.startswith("/"):
        return pointer.partition("/")[2]
    name = to_snake(pointer[1:].replace("/", "."))
    if name.startswith("attachments.") and "attachments" in names:
        return names["attachments"]  # these are parts of messages
    return _INDEX.sub(r"[\1]", names.get(name, name))

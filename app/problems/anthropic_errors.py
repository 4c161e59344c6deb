"""Converts problems to errors in Anthropic's format, for the routes that follow its API."""

from collections.abc import Mapping, Sequence

from app.problems import problem_table as table
from app.problems.openai_errors import field_message
from app.problems.problem_table import ProblemKind

MEDIA_TYPE = "application/json"

_PREFIX = "/v1/messages"
_OVERLOADED = 529
_STATUSES: Mapping[ProblemKind, int] = {table.UNKNOWN_MODEL: 404}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}


def uses_anthropic_errors(path: str) -> bool:
    """Return whether errors of the route at `path` are in Anthropic's format."""
    return path == _PREFIX or path.startswith(_PREFIX + "/")


def anthropic_status(kind: ProblemKind) -> int:
    """Return the HTTP status of Anthropic's API for this kind of problem."""
    if kind in _STATUSES:
        return _STATUSES[kind]
    if kind.status == 422:
        return 400
    return _OVERLOADED if kind.status == 503 else kind.status


def anthropic_error(
    kind: ProblemKind, errors: Sequence[Mapping[str, str]], request_id: str
) -> dict[str, object]:
    """Return Anthropic's error object.

    Args:
        kind: Kind of problem.
        errors: Invalid fields, as returned by `field_errors`.
        request_id: Id of the request.
    """
    status = anthropic_status(kind)
    fallback = "invalid_request_error" if status < 500 else "api_error"
    return {
        "type": "error",
        "error": {
            "type": _TYPES.get(status, fallback),
            "message": field_message(kind, errors),
        },
        "request_id": request_id,
    }

"""Problem responses to requests that never reach the application."""

import logging
import uuid
from collections.abc import Iterable

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.problems.problem_table import ProblemKind, problem_body

_LOGGER = logging.getLogger("app.server")


class RequestRefused(Exception):
    """Stops the parser; raised in its callbacks.

    Attributes:
        kind: Row of the problem table for the response.
    """

    def __init__(self, kind: ProblemKind) -> None:
        super().__init__(kind.slug)
        self.kind = kind


def problem_headers(kind: ProblemKind, body: bytes, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a problem."""
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
    ]
    if kind.retry_after_seconds is not None:
        headers.append((b"retry-after", str(kind.retry_after_seconds).encode()))
    return headers


def closing_response(kind: ProblemKind, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a complete response with `Connection: close`, and log it under a new request id."""
    request_id = str(uuid.uuid4())
    body = orjson.dumps(problem_body(kind, request_id))
    headers = [
        *default_headers,
        *problem_headers(kind, body, request_id),
        (b"connection", b"close"),
    ]
    _LOGGER.info(
        "request refused: %s",
        kind.slug,
        extra={
            "ecs": {
                "trace": {"id": request_id},
                "http": {"request": {"id": request_id}, "response": {"status_code": kind.status}},
                "event": {"action": "http.request", "outcome": "failure"},
                "error": {"code": kind.slug},
            }
        },
    )
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[kind.status] + lines + b"\r\n" + body

"""What a caller sends along so that a request is carried out once."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.services.idempotency import Once
from domain.entities.idempotency import Fingerprint

IDEMPOTENCY_KEY = "Idempotency-Key"
_VERSION = 2
_FIRST_FIELDS: Mapping[str, dict[str, Any]] = {
    "/v1/chat": dict.fromkeys(
        (
            "user_prompt",
            "model",
            "system_prompt",
            "temperature",
            "max_output_tokens",
            "conversation_id",
            "stream",
            "fallback",
        ),
        True,
    ),
    "/v1/chat/completions": {
        **dict.fromkeys(
            (
                "model",
                "temperature",
                "top_p",
                "max_completion_tokens",
                "max_tokens",
                "stop",
                "seed",
                "stream",
                "n",
                "tools",
                "functions",
                "response_format",
                "logprobs",
                "modalities",
                "audio",
            ),
            True,
        ),
        "messages": {
            "__all__": {
                "role": True,
                "content": True,
                "tool_calls": True,
                "function_call": True,
                "audio": True,
            }
        },
        "stream_options": {"include_usage": True},
        "metadata": {"conversation_id": True},
    },
}
"""The fields of each body that fingerprints without a version cover, all of them whether sent or not."""

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any text of 1 to 255 visible ASCII characters. Sent again with the same body within 24 h, the "
        "request is not carried out again: its first answer comes back, or a 409 while it is being worked out.",
    ),
]


def once_of(
    key: str | None, request: Request, body: BaseModel, *, names_user: set[str]
) -> Once | None:
    """Return what carries the request out once; None without a key.

    Args:
        key: As the caller sent it.
        request: Says which route it is.
        body: As it was validated.
        names_user: The fields of `body` that say who is asked for, which may go without saying.
    """
    if key is None:
        return None
    if len(request.headers.getlist(IDEMPOTENCY_KEY)) > 1:
        raise RequestValidationError([{"type": "repeated", "loc": ("header", IDEMPOTENCY_KEY)}])
    route = request.scope["route"].path
    return Once(
        key=key,
        route=route,
        fingerprint=Fingerprint(
            current=_fingerprint(body, names_user),
            first=lambda: _first_fingerprint(body, route, names_user),
        ),
    )


def _fingerprint(body: BaseModel, names_user: set[str]) -> str:
    """Return the version and the SHA-256 of what was sent.

    Fields that were left out or hold their default, spelling, white space and the order of fields make no difference,
    so a field with a default that a later release adds changes no fingerprint.
    """
    sent = body.model_dump(
        mode="json", by_alias=True, exclude=names_user, exclude_unset=True, exclude_defaults=True
    )
    canonical = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    return f"{_VERSION}:{hashlib.sha256(canonical).hexdigest()}"


def _first_fingerprint(body: BaseModel, route: str, names_user: set[str]) -> str | None:
    """Return the fingerprint that releases before version 2 made of `body`; None if they did not know all of it."""
    fields = _FIRST_FIELDS.get(route)
    if fields is None or not body.model_fields_set <= fields.keys() | names_user:
        return None
    canonical = body.model_dump_json(include=fields, exclude=names_user)
    return hashlib.sha256(canonical.encode()).hexdigest()

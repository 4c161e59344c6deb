"""The Idempotency-Key header and the fingerprint of a request."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.services.idempotency import IdempotentRequest
from domain.entities.idempotency import Fingerprint

IDEMPOTENCY_KEY = "Idempotency-Key"
_VERSION = 2
_UNVERSIONED_FIELDS: Mapping[str, dict[str, Any]] = {
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
"""The fields of each body that a fingerprint without a version covers, including those that were not sent."""

_HINTS = frozenset({"prompt_cache_key", "cache_control"})
"""Fields that change no answer; no fingerprint covers them."""

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="A unique text of 1 to 255 visible ASCII characters. A repeated request with the same key and body "
        "within 24 h is not executed again: it gets the first answer, or a 409 while that is in progress.",
    ),
]


def idempotent_request(
    key: str | None,
    request: Request,
    body: BaseModel,
    *,
    names_user: set[str] | dict[str, set[str]],
) -> IdempotentRequest | None:
    """Return the identity of the request; None without a key.

    Args:
        key: Value of the Idempotency-Key header.
        request: HTTP request, with its route in the scope.
        body: Validated body.
        names_user: Fields of `body`, or by field the parts of it, that name the user. They are optional, so the fingerprint does
            not cover them.
    """
    if key is None:
        return None
    if len(request.headers.getlist(IDEMPOTENCY_KEY)) > 1:
        raise RequestValidationError([{"type": "repeated", "loc": ("header", IDEMPOTENCY_KEY)}])
    route = request.scope["route"].path
    return IdempotentRequest(
        key=key,
        route=route,
        fingerprint=Fingerprint(
            current=_fingerprint(body, names_user),
            first=lambda: _unversioned_fingerprint(body, route, {*names_user, *_HINTS}),
        ),
    )


def _fingerprint(body: BaseModel, names_user: set[str] | dict[str, set[str]]) -> str:
    """Return the version and the SHA-256 of the fields that were sent.

    Independent of white space, of the order of fields, of how values are spelled in JSON, and of whether fields with
    their default value are sent, so a field with a default that a later release adds changes no fingerprint.
    """
    parts = names_user if isinstance(names_user, dict) else dict.fromkeys(names_user, True)
    sent = body.model_dump(
        mode="json",
        by_alias=True,
        exclude={**parts, **dict.fromkeys(_HINTS, True)},
        exclude_unset=True,
        exclude_defaults=True,
    )
    for name in names_user:
        if sent.get(name) == {}:
            del sent[name]  # it had no other parts
    canonical = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    return f"{_VERSION}:{hashlib.sha256(canonical).hexdigest()}"


def _unversioned_fingerprint(body: BaseModel, route: str, names_user: set[str]) -> str | None:
    """Return the fingerprint that releases before version 2 computed; None if `body` has fields unknown to them."""
    fields = _UNVERSIONED_FIELDS.get(route)
    if fields is None or not body.model_fields_set <= fields.keys() | names_user:
        return None
    canonical = body.model_dump_json(include=fields, exclude=names_user)
    return hashlib.sha256(canonical.encode()).hexdigest()

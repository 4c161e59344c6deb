"""What a caller sends along so that a request is carried out once."""

import hashlib
from typing import Annotated

from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.services.once_per_key import Once

_NAME = "Idempotency-Key"

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias=_NAME,
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
        body: As it was validated, so that spelling makes no difference.
        names_user: The fields of `body` that say who is asked for, which may go without saying.
    """
    if key is None:
        return None
    if len(request.headers.getlist(_NAME)) > 1:
        raise RequestValidationError([{"type": "repeated", "loc": ("header", _NAME)}])
    canonical = body.model_dump_json(exclude=names_user)
    return Once(
        key=key,
        route=request.scope["route"].path,
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
    )

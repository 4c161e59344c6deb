"""Reads attachments of requests: base64, media type and size."""

import binascii
from io import BytesIO
from urllib.parse import urlsplit

from app.dto.media_types import (
    MAX_ATTACHMENT_BYTES,
    SUPPORTED,
    canonical_media_type,
    has_media_type,
    media_type_of_url,
)
from domain.entities.items import Attachment
from domain.exceptions import InvalidAttachment

MAX_NAME_CHARACTERS = 255
_MAX_URL_CHARACTERS = 8192
_CHARACTERS_AT_ONCE = 64 * 1024
"""A multiple of four. Decoding holds the interpreter's lock, so other threads run between the pieces alone."""


def attachment_of_data(
    data: str, media_type: str, name: str | None = None, position: int | None = None
) -> Attachment:
    """Return an attachment with the content in `data`.

    Args:
        data: Base64, with or without padding at the end.
        media_type: As the caller states it.
        name: Name of the file.
        position: Number among the attachments of the request, for errors.

    Raises:
        InvalidAttachment: The size, the type or the encoding is not valid.
    """
    _check_name(name, position)
    known = canonical_media_type(media_type)
    if known is None:
        raise InvalidAttachment(f"must be one of {SUPPORTED}", position)
    if len(data) * 3 // 4 > MAX_ATTACHMENT_BYTES + 2:
        raise InvalidAttachment("must be at most 20 MiB", position)
    try:
        content = _decoded(data)
    except ValueError:
        raise InvalidAttachment("must be base64", position) from None
    if len(content) > MAX_ATTACHMENT_BYTES:
        raise InvalidAttachment("must be at most 20 MiB", position)
    if not content:
        raise InvalidAttachment("must not be empty", position)
    if not has_media_type(content, known):
        raise InvalidAttachment(f"is not {known}", position)
    return Attachment(media_type=known, name=name, size_bytes=len(content), content=content)


def attachment_of_url(
    url: str, media_type: str | None, name: str | None = None, position: int | None = None
) -> Attachment:
    """Return a reference to a document elsewhere; it is passed on to the provider and never fetched here.

    Args:
        url: https.
        media_type: None: what the extension in its path states.
        name: Name of the file.
        position: Number among the attachments of the request, for errors.

    Raises:
        InvalidAttachment: The address or the type is not valid.
    """
    _check_name(name, position)
    if not _is_https(url):
        raise InvalidAttachment("must be an https address", position)
    known = media_type_of_url(url) if media_type is None else canonical_media_type(media_type)
    if known is None:
        raise InvalidAttachment(f"needs a mediaType: {SUPPORTED}", position)
    return Attachment(media_type=known, name=name, url=url)


def _check_name(name: str | None, position: int | None) -> None:
    if name is not None and (len(name) > MAX_NAME_CHARACTERS or "\0" in name):
        message = f"must have a name of at most {MAX_NAME_CHARACTERS} characters without NUL"
        raise InvalidAttachment(message, position)


def _decoded(data: str) -> bytes:
    """Return the bytes in base64.

    Raises:
        ValueError: There are other characters, or too few.
    """
    whole = len(data) // _CHARACTERS_AT_ONCE * _CHARACTERS_AT_ONCE
    content = BytesIO()
    for start in range(0, whole, _CHARACTERS_AT_ONCE):
        piece = data[start : start + _CHARACTERS_AT_ONCE]
        if piece[-1] == "=" and start + len(piece) < len(data):
            raise ValueError("padding within base64")
        content.write(binascii.a2b_base64(piece, strict_mode=True))
    rest = data[whole:]
    if len(rest) % 4 in (2, 3):
        rest += "=" * (4 - len(rest) % 4)
    content.write(binascii.a2b_base64(rest, strict_mode=True))
    return content.getvalue()


def _is_https(url: str) -> bool:
    if len(url) > _MAX_URL_CHARACTERS or any(c <= " " or c in '\x7f\\"<>' for c in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False

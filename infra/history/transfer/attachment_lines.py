"""The lines of attachments in an export.

    {"attachment": {"id": …, "userId": …, "mediaType": …, "data": …}}

`data` is base64. A line comes before the first interaction of the user that refers to it, once in a file.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from domain.entities.caller import is_user_id
from domain.entities.items import attachment_id
from domain.interfaces.attachments import StoredContent
from infra.history.transfer.jsonl_format import InvalidLine

_START = re.compile(rb'\s*\{\s*"attachment"\s*:')
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,127}/[a-z0-9.+-]{1,127}", re.ASCII)
_FIELDS = frozenset({"id", "userId", "mediaType", "data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentLine:
    """A content with its owner and the id that belongs to both."""

    user_id: str
    id: str
    content: StoredContent


def line_of_attachment(user_id: str, content_id: str, stored: StoredContent) -> bytes:
    """Return the line of an attachment, without its end."""
    fields = {
        "id": content_id,
        "userId": user_id,
        "mediaType": stored.media_type,
        "data": base64.b64encode(stored.content).decode("ascii"),
    }
    return orjson.dumps({"attachment": fields})


def is_attachment_line(line: bytes) -> bool:
    """Return whether a line is meant to be an attachment."""
    return _START.match(line) is not None


def read_attachment(line: bytes) -> AttachmentLine:
    """Return the attachment of a line.

    Raises:
        InvalidLine: It is not an attachment, or its id is not that of its user and content.
    """
    try:
        value: Any = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise InvalidLine("not JSON") from exc
    if len(value) != 1:
        raise InvalidLine("attachment: other fields beside it")
    fields: Mapping[str, Any] = value["attachment"]
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise InvalidLine("attachment: must have id, userId, mediaType and data")
    user_id, media_type, data = fields["userId"], fields["mediaType"], fields["data"]
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise InvalidLine("attachment.userId: not the id of a user")
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidLine("attachment.mediaType: not a media type")
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except (TypeError, ValueError) as exc:
        raise InvalidLine("attachment.data: not base64") from exc
    if fields["id"] != (content_id := attachment_id(user_id, content)):
        raise InvalidLine("attachment.id: not the id of this user and content")
    return AttachmentLine(
        user_id=user_id,
        id=content_id,
        content=StoredContent(media_type=media_type, content=content),
    )

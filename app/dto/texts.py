"""Limits on texts in the formats of OpenAI and Anthropic."""

from collections.abc import Iterable

from domain.entities.items import Attachment, size_bytes
from domain.entities.prompt import Message
from domain.exceptions import InvalidInput

MAX_TEXT_BYTES = 1024 * 1024
"""Of one message, in UTF-8."""
MAX_TOTAL_BYTES = 8 * 1024 * 1024
"""Of all messages of a request together, without attachments."""


def checked_text(text: str, field_name: str) -> str:
    """Return `text`; raises `InvalidInput` if it is too long or contains NUL, which not all stores can hold."""
    if "\0" in text:
        raise InvalidInput(field_name, "must not contain NUL characters")
    if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidInput(field_name, f"must be at most {MAX_TEXT_BYTES} bytes of UTF-8")
    return text


def check_total(messages: Iterable[Message], instructions: str, field_name: str) -> None:
    """Raise `InvalidInput` if the texts of a request are too long together."""
    total_bytes = len(instructions.encode())
    for message in messages:
        total_bytes += size_bytes(
            item for item in message.content if not isinstance(item, Attachment)
        )
    if total_bytes > MAX_TOTAL_BYTES:
        raise InvalidInput(field_name, "must have at most 8 MiB of text together")

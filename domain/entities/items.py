"""Items of a turn: texts, reasoning, tool calls and their results."""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.entities.tools import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """Data that has to be sent back to a provider unchanged with an item, such as a thought signature or encrypted reasoning.

    Only models of the same kind and family accept it; it is left out of requests to others.

    Attributes:
        kind: Kind of the provider that sent it.
        family: Models that accept it: a provider's name, a model's id, or a name that the catalogue gives to several.
        value: Opaque, byte for byte as sent; its format is known to the adapter of that kind alone.
    """

    kind: str
    family: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of a message; may be empty if it has metadata."""

    text: str
    metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """A model's reasoning, as far as it shows it; the text is empty if all of it is in the metadata."""

    text: str
    metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A complete call of a tool by a model.

    Attributes:
        id: The provider's, or created here; unique within its turn.
        arguments: As the provider sent them: usually the JSON text of an object, but not always valid JSON.
        content_id: Id of long arguments, which are stored like attachments instead of with the interaction.
    """

    id: str
    name: str
    arguments: str
    metadata: ProviderMetadata | None = None
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The result of a tool call.

    Attributes:
        output: A text, or JSON text if `is_json`.
        is_error: The tool failed or was not carried out.
        content_id: Id of a long output, which is stored like attachments instead of with the interaction.
    """

    call_id: str
    output: str
    is_json: bool = False
    is_error: bool = False
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An image, a document or audio in a user's message: stored here, or a reference that the provider resolves.

    Attributes:
        id: Of the stored content; None for a reference.
        media_type: Empty while the request has the id of a stored content alone.
        size_bytes: Of the stored content; None for a reference.
        url: https address that is passed on to the provider and never fetched here; None for stored content.
        content: The bytes while a request is processed; not a part of the interaction.
    """

    id: str | None = None
    media_type: str
    size_bytes: int | None = None
    name: str | None = None
    url: str | None = None
    content: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def capability(self) -> Capability | None:
        """The capability that a model needs to read it; None for text, which every model reads, and while the type is unknown."""
        kind, _, _ = self.media_type.partition("/")
        if not kind or (kind == "text" and self.url is None):
            return None
        return {"image": Capability.IMAGES, "audio": Capability.AUDIO}.get(kind, Capability.FILES)

    @property
    def is_text(self) -> bool:
        """Whether it is a text document."""
        return self.media_type.startswith("text/")

    def readable_text(self) -> str:
        """Return the content of a text document with its name, for models that read no files."""
        text = (self.content or b"").decode(errors="replace")
        return f"{self.name}:\n{text}" if self.name else text

    def as_text(self) -> Text:
        """Return a text that replaces it where it cannot be sent."""
        name = f" {self.name}" if self.name else ""
        return Text(text=f"[attachment{name}, {self.media_type}, not available here]")


def attachment_id(user_id: str, content: bytes) -> str:
    """Return the id of a user's content: base64url of the SHA-256 of user id, NUL and content, without padding.

    The same in every installation; equal contents of two users have different ids.
    """
    digest = hashlib.sha256(user_id.encode() + b"\0")
    digest.update(content)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")


_ATTACHMENT_BYTES = 3_000
"""Share of the context window that an attachment is counted with: about a thousand tokens, as images usually take.

A text document counts with its size.
"""

NOT_CARRIED_OUT = "The call was not carried out."
"""Output of a result that settles a call left unanswered."""

RESULTS_WITHOUT_CALLS = "[Results of calls that are not available.]"
"""Text in the place of results whose calls were erased."""

OutputItem = Text | Reasoning | ToolCall
"""An item of an answer."""

InputItem = Text | ToolResult | Attachment
"""An item of a user's message."""

Item = Text | Reasoning | ToolCall | ToolResult | Attachment


LONG_TEXT_BYTES = 8 * 1024
"""Instructions, tool lists, arguments and results of at least this size are stored once per content and user.

Below it, a reference would take a write of its own with every turn and save little.
"""


LONG_TEXT = "text/plain"
"""Media type of such texts."""


def is_long(text: str) -> bool:
    """Return whether a text is stored like an attachment instead of with its interaction."""
    return len(text) * 4 > LONG_TEXT_BYTES and len(text.encode()) >= LONG_TEXT_BYTES


def text_of(items: Iterable[Item]) -> str:
    """Return the texts of `items`, joined."""
    return "".join([item.text for item in items if isinstance(item, Text)])


def size_bytes(items: Iterable[Item]) -> int:
    """Return the size in UTF-8 of what a model reads or writes with `items`, without metadata."""
    size = 0
    for item in items:
        match item:
            case Text() | Reasoning():
                size += len(item.text.encode())
            case ToolCall():
                size += len(item.name.encode()) + len(item.arguments.encode())
            case ToolResult():
                size += len(item.output.encode())
            case Attachment():
                is_read_as_text = item.is_text and item.url is None
                size += (item.size_bytes or 0) if is_read_as_text else _ATTACHMENT_BYTES
    return size


def attachments(items: Iterable[Item]) -> tuple[Attachment, ...]:
    """Return the attachments among `items`, in order."""
    return tuple([item for item in items if isinstance(item, Attachment)])


def tool_calls(items: Iterable[Item]) -> tuple[ToolCall, ...]:
    """Return the tool calls among `items`, in order."""
    return tuple([item for item in items if isinstance(item, ToolCall)])


def tool_results(items: Iterable[Item]) -> tuple[ToolResult, ...]:
    """Return the tool results among `items`, in order."""
    return tuple([item for item in items if isinstance(item, ToolResult)])


def not_carried_out(calls: Iterable[ToolCall]) -> tuple[ToolResult, ...]:
    """Return results that settle unanswered calls."""
    return tuple(
        [ToolResult(call_id=call.id, output=NOT_CARRIED_OUT, is_error=True) for call in calls]
    )


# Ids of calls whose provider sent none are made from the id of their interaction, so that the interaction of a call can
# be found by its id: clients of a stateless API send back only the id, not the metadata that the provider
# requires.
_INTERACTION_DIGITS = 30
_MADE_HERE = re.compile(r"call_([0-9a-f]{32})")


def call_id(interaction_id: str, number: int) -> str:
    """Return `call_` and 32 hexadecimal digits: the interaction's id with its last two digits replaced.

    Args:
        interaction_id: A UUIDv7.
        number: 0 to 255, different for each call of the interaction.
    """
    digits = interaction_id.replace("-", "")[:_INTERACTION_DIGITS]
    return f"call_{digits}{number:02x}"


def interaction_ids_of(call: str) -> tuple[str, str] | None:
    """Return the smallest and the largest possible id of the interaction that a call belongs to; None if unknown."""
    match = _MADE_HERE.fullmatch(call)
    if match is None:
        return None
    digits = match[1][:_INTERACTION_DIGITS]
    return _as_uuid(digits + "00"), _as_uuid(digits + "ff")


def _as_uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

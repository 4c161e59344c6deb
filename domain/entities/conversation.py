"""Conversations of a user, pages of them, and their records."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.entities.interaction import Interaction, asked_at
from domain.entities.items import Attachment, Reasoning, Text, ToolCall
from domain.entities.prompt import Message

OPENING_CHARACTERS = 200
_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A user's interactions with one conversation id.

    Attributes:
        turns: Number of interactions, of every status.
        first_id: Id of the first interaction.
        last_id: Id of the last interaction; unique among conversations.
        opening: The first `OPENING_CHARACTERS` of the first prompt.
        given_title: Title that the user gave; empty for none.
    """

    id: str
    turns: int
    first_id: str
    last_id: str
    opening: str
    given_title: str = ""

    @property
    def first_at(self) -> datetime:
        """Time of receipt of the first interaction, in UTC with milliseconds."""
        return asked_at(self.first_id)

    @property
    def last_at(self) -> datetime:
        """Time of receipt of the last interaction, in UTC with milliseconds."""
        return asked_at(self.last_id)

    @property
    def title(self) -> str:
        """The title that the user gave, else the first non-blank line of the first prompt, at most 80 characters."""
        if self.given_title:
            return self.given_title
        lines = self.opening.strip().splitlines()
        return lines[0][:_TITLE_CHARACTERS].rstrip() if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationQuery:
    """Query for one page of a user's conversations, most recently active first.

    Attributes:
        user_id: Already authorised; every store filters by equality.
        limit: 1 to 100.
        after_id: Only conversations whose last interaction is older than this id.
        from_id: Interactions with smaller ids have expired and are ignored.
    """

    user_id: str
    limit: int = 20
    after_id: str | None = None
    from_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """A page of conversations, most recently active first.

    Attributes:
        next_id: `after_id` of the next page; None on the last page.
    """

    conversations: Sequence[Conversation]
    next_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedItem:
    """An item that a caller added to a conversation by hand.

    Attributes:
        id: UUIDv7; its place among the interactions of the conversation.
        message: A message with this one item.
        is_instruction: The text belongs to the system instructions of later turns.
    """

    id: str
    message: Message
    is_instruction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """An item to add; the fields are those of `AddedItem`."""

    message: Message
    is_instruction: bool = False


Entry = Interaction | AddedItem
"""A part of a conversation; its id is its place in the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRecord:
    """The data of a conversation that cannot be derived from its interactions. Most conversations have none.

    Attributes:
        created_id: UUIDv7 of the creation, or the id of the first interaction; an erasure of the user up to a later
            time includes the record.
        changed_id: UUIDv7 of the last change, from which the record expires.
        title: Given by the user; empty for none.
        metadata: The caller's own pairs of strings.
        items: Added by hand, oldest first.
    """

    user_id: str
    conversation_id: str
    created_id: str
    changed_id: str
    title: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    items: tuple[AddedItem, ...] = ()

    def without_expired(self, first_kept_id: str) -> "ConversationRecord | None":
        """Return the record without items below an id; None if its last change is below it."""
        if self.changed_id < first_kept_id:
            return None
        kept = tuple([added for added in self.items if added.id >= first_kept_id])
        return self if len(kept) == len(self.items) else replace(self, items=kept)

    @property
    def size_bytes(self) -> int:
        """Size of the items in UTF-8, including provider metadata."""
        size = 0
        for added in self.items:
            size += added.message.size_bytes
            for item in added.message.items:
                if isinstance(item, Text | Reasoning | ToolCall) and item.metadata is not None:
                    size += len(item.metadata.value)
                elif isinstance(item, Attachment):
                    size += len(item.url or "")
        return size


MOST_RECORD_BYTES = 256 * 1024
"""Limit of `ConversationRecord.size_bytes`; every store can hold that much in one item."""
MOST_ADDED_ITEMS = 1000

_MADE_HERE = re.compile(r"conv_[0-9a-f]{32}")


def new_conversation_id(interaction_id: str) -> str:
    """Return the id of a conversation that begins without an interaction.

    Args:
        interaction_id: A new UUIDv7.
    """
    return f"conv_{interaction_id.replace('-', '')}"


def begins_with_record(conversation_id: str) -> bool:
    """Return whether the conversation was made by `new_conversation_id`, so that it has a record."""
    return _MADE_HERE.fullmatch(conversation_id) is not None

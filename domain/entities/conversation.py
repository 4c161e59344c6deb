"""Conversations of a user, and pages of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.entities.interaction import asked_at

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
    """

    id: str
    turns: int
    first_id: str
    last_id: str
    opening: str

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
        """The first non-blank line of the first prompt, at most 80 characters."""
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

"""Conversations of a user, and the page that lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.entities.interaction import asked_at

OPENING_CHARACTERS = 200
_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a user filed under one name.

    Attributes:
        turns: How many interactions, whatever became of them.
        first_id: Of the first interaction.
        last_id: Of the last one; no two conversations share it.
        opening: The first `OPENING_CHARACTERS` of the first prompt.
    """

    id: str
    turns: int
    first_id: str
    last_id: str
    opening: str

    @property
    def first_at(self) -> datetime:
        """When the first interaction was asked, in UTC with milliseconds."""
        return asked_at(self.first_id)

    @property
    def last_at(self) -> datetime:
        """When the last interaction was asked, in UTC with milliseconds."""
        return asked_at(self.last_id)

    @property
    def title(self) -> str:
        """The start of the first prompt: of its first line that is not blank, at most 80 characters."""
        lines = self.opening.strip().splitlines()
        return lines[0][:_TITLE_CHARACTERS].rstrip() if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationQuery:
    """One page of one user's conversations, last active first.

    Attributes:
        user_id: Authorised before the query was made; every store applies it as an equality.
        limit: 1 to 100.
        after_id: Only conversations whose last interaction is older than this one.
        from_id: Interactions below it are not there: they have expired.
    """

    user_id: str
    limit: int = 20
    after_id: str | None = None
    from_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """Conversations, last active first.

    Attributes:
        next_id: `after_id` of the page that follows; None when this is the last.
    """

    conversations: Sequence[Conversation]
    next_id: str | None = None

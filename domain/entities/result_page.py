"""Pages of history with the cursor from which a caller continues."""

from dataclasses import dataclass

from domain.entities.conversation import ConversationPage
from domain.entities.history_query import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryResultPage:
    """A page of interactions.

    Attributes:
        next_cursor: Opaque; None on the last page.
        is_complete: The page includes the interaction that the caller waits for.
    """

    page: Page
    next_cursor: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationResultPage:
    """A page of conversations.

    Attributes:
        next_cursor: Opaque; None on the last page.
    """

    page: ConversationPage
    next_cursor: str | None

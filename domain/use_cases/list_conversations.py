"""List a user's conversations."""

from dataclasses import dataclass

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True)
class ListConversations:
    """Returns one page of conversations, most recently active first."""

    history: HistoryRepository

    async def __call__(self, query: ConversationQuery) -> ConversationPage:
        """Return the page; raises `HistoryUnreadable`."""
        return await self.history.conversations(query)

"""List a user's conversations."""

from dataclasses import dataclass, replace

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True)
class ListConversations:
    """Returns one page of conversations with the titles they were given, most recently active first."""

    history: HistoryRepository
    records: ConversationRecords | None = None

    async def __call__(self, query: ConversationQuery) -> ConversationPage:
        """Return the page; raises `HistoryUnreadable`."""
        page = await self.history.conversations(query)
        if self.records is None or not page.conversations:
            return page
        ids = [conversation.id for conversation in page.conversations]
        titles = await self.records.titles(query.user_id, ids)
        if not titles:
            return page
        return replace(
            page,
            conversations=[
                replace(conversation, given_title=titles.get(conversation.id, ""))
                for conversation in page.conversations
            ],
        )

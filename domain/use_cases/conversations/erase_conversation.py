"""Erase a conversation."""

from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Status, is_interaction_id
from domain.interfaces.history import HistoryRepository
from domain.use_cases.conversations.change_conversation import ChangeConversation
from domain.use_cases.conversations.read_conversation import belongs_to
from domain.use_cases.erase_history import EraseHistory

_PAGE_TURNS = 100


@dataclass(frozen=True, slots=True)
class EraseConversation:
    """Erases the interactions of a conversation like single ones, and then its record."""

    history: HistoryRepository
    erase_history: EraseHistory
    change_conversation: ChangeConversation

    async def __call__(self, user_id: str, conversation_id: str) -> int:
        """Erase everything and return the number of interactions; 0 for an unknown conversation.

        Raises:
            HistoryUnreadable: The store is unavailable; the erasure may be partial. A retry completes it.
        """
        erased = 0
        everything = HistoryFilter(conversation_id=conversation_id, statuses=frozenset(Status))
        query = HistoryQuery(user_id=user_id, filter=everything, limit=_PAGE_TURNS)
        while True:
            page = await self.history.search(query)
            for turn in page.interactions:
                await self.erase_history.one(user_id, turn.id)
                erased += 1
            if page.next_id is None:
                break
            query = replace(query, after_id=page.next_id)
        if is_interaction_id(conversation_id):
            first = await self.history.find(user_id, conversation_id)
            if first is not None and belongs_to(first, conversation_id):
                await self.erase_history.one(user_id, first.id)
                erased += 1
        await self.change_conversation.erase(user_id, conversation_id)
        return erased

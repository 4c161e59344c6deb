"""Creates, reads, changes and erases conversations on behalf of a caller."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from app.services.response_ids import ResponseIds, require_owner
from domain.entities.caller import Caller, Scope
from domain.entities.conversation import AddedItem, ConversationRecord, Entry, NewItem
from domain.entities.history_query import Order
from domain.exceptions import NotFound
from domain.use_cases.conversations.change_conversation import ChangeConversation
from domain.use_cases.conversations.erase_conversation import EraseConversation
from domain.use_cases.conversations.read_conversation import ReadConversation


@dataclass(frozen=True, slots=True)
class ConversationService:
    """Checks permissions before the store is used.

    Changes need the scope of chats, since they change what later turns contain; erasures need the scope of erasures.

    Attributes:
        ids: Makes and reads ids.
    """

    ids: ResponseIds
    read_conversation: ReadConversation
    change_conversation: ChangeConversation
    erase_conversation: EraseConversation

    async def rename(
        self, caller: Caller, user_id: str, conversation_id: str, title: str
    ) -> ConversationRecord:
        """Give a conversation a title.

        Raises:
            Forbidden: The caller may not write the history of this user.
            NotFound: This user has no such conversation.
            HistoryUnreadable: The store cannot be read.
            HistoryUnavailable: Not stored.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        return await self.change_conversation.rename(user_id, conversation_id, title)

    async def erase(self, caller: Caller, user_id: str, conversation_id: str) -> int:
        """Erase a conversation and return the number of its interactions; raises `Forbidden` or `HistoryUnreadable`."""
        caller.require(Scope.HISTORY_ERASE, user_id)
        return await self.erase_conversation(user_id, conversation_id)

    async def create(
        self,
        caller: Caller,
        user_id: str,
        metadata: Mapping[str, str],
        items: Sequence[NewItem],
    ) -> ConversationRecord:
        """Create a conversation.

        Raises:
            Forbidden: The caller may not chat for this user.
            InvalidInput: There are too many items, or they are too large.
            HistoryUnavailable: Not stored.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        return await self.change_conversation.create(user_id, metadata, items)

    async def set_metadata(
        self, caller: Caller, conversation: str, metadata: Mapping[str, str], *, user: str | None
    ) -> ConversationRecord:
        """Replace the metadata; raises as `rename`, with `NotFound` for another user's conversation."""
        conversation_id, user_id = self._owned(caller, conversation, Scope.CHAT_WRITE, user)
        return await self.change_conversation.set_metadata(user_id, conversation_id, metadata)

    async def read(
        self, caller: Caller, conversation: str, *, user: str | None
    ) -> ConversationRecord:
        """Return a conversation.

        Args:
            caller: Of the request.
            conversation: Sealed id, or the conversation's own id.
            user: User of the latter, for callers that are bound to none.

        Raises:
            Forbidden: The caller lacks the scope.
            NotFound: There is no such conversation, or it belongs to another user.
            HistoryUnreadable: The store cannot be read.
        """
        conversation_id, user_id = self._owned(caller, conversation, Scope.HISTORY_READ, user)
        return await self.read_conversation(user_id, conversation_id)

    def entries(
        self, record: ConversationRecord, order: Order, from_id: str | None
    ) -> AsyncIterator[Entry]:
        """Yield the content of a conversation that `read` returned; raises `HistoryUnreadable`."""
        return self.read_conversation.entries(record, order, from_id)

    async def entry(self, record: ConversationRecord, entry_id: str) -> Entry:
        """Return one entry of a conversation that `read` returned; raises `NotFound` or `HistoryUnreadable`."""
        return await self.read_conversation.entry(record, entry_id)

    def owner(self, caller: Caller, conversation: str, *, user: str | None) -> str:
        """Return the user of a conversation to which the caller may add; raises `NotFound` or `Forbidden`."""
        return self._owned(caller, conversation, Scope.CHAT_WRITE, user)[1]

    async def add(
        self, caller: Caller, conversation: str, items: Sequence[NewItem], *, user: str | None
    ) -> tuple[AddedItem, ...]:
        """Add items at the end; raises as `set_metadata`, and `InvalidInput` for too many or too large ones."""
        conversation_id, user_id = self._owned(caller, conversation, Scope.CHAT_WRITE, user)
        return await self.change_conversation.add(user_id, conversation_id, items)

    async def remove(
        self, caller: Caller, conversation: str, entry_id: str, *, user: str | None
    ) -> ConversationRecord | None:
        """Remove an item that was added by hand; return None if the entry is an interaction.

        Raises:
            Forbidden: The caller lacks the scope.
            NotFound: There is no such conversation or entry, or it belongs to another user.
            HistoryUnreadable: The store cannot be read.
            HistoryUnavailable: Not removed.
        """
        conversation_id, user_id = self._owned(caller, conversation, Scope.HISTORY_ERASE, user)
        record = await self.read_conversation(user_id, conversation_id)
        entry = await self.read_conversation.entry(record, entry_id)
        if not isinstance(entry, AddedItem):
            return None
        return await self.change_conversation.remove(user_id, conversation_id, entry_id)

    async def delete(self, caller: Caller, conversation: str, *, user: str | None) -> None:
        """Erase a conversation with its interactions; raises as `read`."""
        conversation_id, user_id = self._owned(caller, conversation, Scope.HISTORY_ERASE, user)
        await self.read_conversation(user_id, conversation_id)
        await self.erase_conversation(user_id, conversation_id)

    def _owned(
        self, caller: Caller, conversation: str, scope: Scope, user: str | None
    ) -> tuple[str, str]:
        found = self.ids.resolve_conversation(conversation)
        if found is None:
            raise NotFound
        conversation_id, user_id = found
        if user_id is None:
            user_id = caller.user_id or user or caller.principal
        require_owner(caller, scope, user_id)
        return conversation_id, user_id

"""Create a conversation, and change its record."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from domain.entities.conversation import (
    MOST_ADDED_ITEMS,
    MOST_RECORD_BYTES,
    AddedItem,
    ConversationRecord,
    NewItem,
    new_conversation_id,
)
from domain.exceptions import InvalidInput, NotFound
from domain.interfaces.conversation_records import ConversationRecords
from domain.use_cases.conversations.read_conversation import ReadConversation


@dataclass(frozen=True, slots=True)
class ChangeConversation:
    """Writes the record as a whole; changes of one conversation wait for one another within the process.

    Attributes:
        new_id: Returns a UUIDv7 greater than all earlier ones of this process.
    """

    records: ConversationRecords
    read_conversation: ReadConversation
    new_id: Callable[[], str]
    _locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = field(
        default_factory=WeakValueDictionary, init=False
    )

    async def create(
        self, user_id: str, metadata: Mapping[str, str], items: Sequence[NewItem]
    ) -> ConversationRecord:
        """Create a conversation without interactions.

        Raises:
            InvalidInput: There are too many items, or they are too large.
            HistoryUnavailable: Not stored.
        """
        made_id = self.new_id()
        record = ConversationRecord(
            user_id=user_id,
            conversation_id=new_conversation_id(made_id),
            created_id=made_id,
            changed_id=made_id,
            metadata=metadata,
            items=self._added(items),
        )
        await self._put(record)
        return record

    async def rename(self, user_id: str, conversation_id: str, title: str) -> ConversationRecord:
        """Give a conversation a title; an empty one removes it. Raises as `set_metadata`."""
        return await self._change(
            user_id, conversation_id, lambda record: replace(record, title=title)
        )

    async def set_metadata(
        self, user_id: str, conversation_id: str, metadata: Mapping[str, str]
    ) -> ConversationRecord:
        """Replace the metadata.

        Raises:
            NotFound: This user has no such conversation.
            HistoryUnreadable: The store cannot be read.
            HistoryUnavailable: Not stored.
        """
        return await self._change(
            user_id, conversation_id, lambda record: replace(record, metadata=metadata)
        )

    async def add(
        self, user_id: str, conversation_id: str, items: Sequence[NewItem]
    ) -> tuple[AddedItem, ...]:
        """Add items at the end and return them.

        Raises:
            NotFound: This user has no such conversation.
            InvalidInput: The conversation would have too many items, or too large ones.
            HistoryUnreadable: The store cannot be read.
            HistoryUnavailable: Not stored.
        """
        added = self._added(items)
        await self._change(
            user_id,
            conversation_id,
            lambda record: replace(record, items=(*record.items, *added)),
        )
        return added

    async def remove(self, user_id: str, conversation_id: str, item_id: str) -> ConversationRecord:
        """Remove an item that was added by hand.

        Raises:
            NotFound: There is none with this id.
            HistoryUnreadable: The store cannot be read.
            HistoryUnavailable: Not removed.
        """

        def without(record: ConversationRecord) -> ConversationRecord:
            kept = tuple([added for added in record.items if added.id != item_id])
            if len(kept) == len(record.items):
                raise NotFound
            return replace(record, items=kept)

        return await self._change(user_id, conversation_id, without)

    async def erase(self, user_id: str, conversation_id: str) -> None:
        """Erase the record; raises `HistoryUnreadable`."""
        async with self._lock(user_id, conversation_id):
            await self.records.erase(user_id, conversation_id)

    async def _change(
        self,
        user_id: str,
        conversation_id: str,
        change: Callable[[ConversationRecord], ConversationRecord],
    ) -> ConversationRecord:
        async with self._lock(user_id, conversation_id):
            record = await self.read_conversation(user_id, conversation_id)
            changed = replace(change(record), changed_id=self.new_id())
            await self._put(changed)
            return changed

    async def _put(self, record: ConversationRecord) -> None:
        if len(record.items) > MOST_ADDED_ITEMS:
            raise InvalidInput("items", f"at most {MOST_ADDED_ITEMS} in a conversation")
        if record.size_bytes > MOST_RECORD_BYTES:
            raise InvalidInput("items", f"at most {MOST_RECORD_BYTES} bytes in a conversation")
        await self.records.put(record)

    def _added(self, items: Sequence[NewItem]) -> tuple[AddedItem, ...]:
        return tuple(
            [
                AddedItem(
                    id=self.new_id(), message=item.message, is_instruction=item.is_instruction
                )
                for item in items
            ]
        )

    def _lock(self, user_id: str, conversation_id: str) -> asyncio.Lock:
        return self._locks.setdefault((user_id, conversation_id), asyncio.Lock())

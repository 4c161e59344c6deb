"""Read a conversation and its content."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from domain.entities.conversation import ConversationRecord, Entry
from domain.entities.history_query import HistoryFilter, HistoryQuery, Order
from domain.entities.interaction import ANSWERED, Interaction, Status, is_interaction_id
from domain.exceptions import NotFound
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.history import HistoryRepository
from domain.use_cases.load_contents import CONTENTS_AS_STORED, LoadContents

_PAGE_TURNS = 50
_AFTER_SAME_ID = "0"
"""Appended to an id it gives an upper bound that includes the id itself."""


@dataclass(frozen=True, slots=True)
class ReadConversation:
    """Returns a user's conversation, whichever API it was begun with."""

    history: HistoryRepository
    records: ConversationRecords
    load_contents: LoadContents = CONTENTS_AS_STORED

    async def __call__(self, user_id: str, conversation_id: str) -> ConversationRecord:
        """Return the record; an empty one for a conversation that has interactions and no record.

        Raises:
            NotFound: This user has neither a record nor an interaction of the conversation.
            HistoryUnreadable: The store cannot be read.
        """
        record = await self.records.get(user_id, conversation_id)
        if record is not None:
            return record
        first_id = await self._first_id(user_id, conversation_id)
        if first_id is None:
            raise NotFound
        return ConversationRecord(
            user_id=user_id,
            conversation_id=conversation_id,
            created_id=first_id,
            changed_id=first_id,
        )

    async def entries(
        self, record: ConversationRecord, order: Order, from_id: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield the answered interactions and the items added by hand, in order.

        Args:
            record: As returned by a call.
            order: By id.
            from_id: Id of the first entry; None for all.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        is_ascending = order is Order.ASC
        added = sorted(record.items, key=lambda item: item.id, reverse=is_ascending)
        if from_id is not None:
            added = [
                item
                for item in added
                if (item.id >= from_id if is_ascending else item.id <= from_id)
            ]
        async for turn in self._turns(record, order, from_id):
            while added and (added[-1].id < turn.id) is is_ascending:
                yield added.pop()
            yield turn
        while added:
            yield added.pop()

    async def entry(self, record: ConversationRecord, entry_id: str) -> Entry:
        """Return one entry.

        Raises:
            NotFound: The conversation has none with this id.
            HistoryUnreadable: The store cannot be read.
        """
        for added in record.items:
            if added.id == entry_id:
                return added
        turn = await self.history.find(record.user_id, entry_id)
        if turn is None or not _is_shown(turn) or not belongs_to(turn, record.conversation_id):
            raise NotFound
        (complete,) = await self.load_contents([turn])
        return complete

    async def _first_id(self, user_id: str, conversation_id: str) -> str | None:
        if is_interaction_id(conversation_id):
            first = await self.history.find(user_id, conversation_id)
            if first is not None and belongs_to(first, conversation_id):
                return first.id
        everything = HistoryFilter(conversation_id=conversation_id, statuses=frozenset(Status))
        query = HistoryQuery(user_id=user_id, filter=everything, order=Order.ASC, limit=1)
        while True:
            page = await self.history.search(query)
            if page.interactions:
                return page.interactions[0].id
            if page.next_id is None:
                return None
            query = replace(query, after_id=page.next_id)

    async def _turns(
        self, record: ConversationRecord, order: Order, from_id: str | None
    ) -> AsyncIterator[Interaction]:
        wanted = HistoryFilter(conversation_id=record.conversation_id, statuses=ANSWERED)
        first = await self._first_outside(record, order, from_id)
        if from_id is not None and order is Order.ASC:
            wanted = replace(wanted, from_id=from_id)
        elif from_id is not None:
            wanted = replace(wanted, to_id=from_id + _AFTER_SAME_ID)
        query = HistoryQuery(user_id=record.user_id, filter=wanted, order=order, limit=_PAGE_TURNS)
        if first is not None and order is Order.ASC:
            yield first
        while True:
            page = await self.history.search(query)
            shown = [turn for turn in page.interactions if _is_shown(turn)]
            for turn in await self.load_contents(shown) if shown else ():
                yield turn
            if page.next_id is None:
                break
            query = replace(query, after_id=page.next_id)
        if first is not None and order is Order.DESC:
            yield first

    async def _first_outside(
        self, record: ConversationRecord, order: Order, from_id: str | None
    ) -> Interaction | None:
        """Return the interaction with which the conversation begins if it was created by a continuation; it has no conversation id."""
        conversation_id = record.conversation_id
        if not is_interaction_id(conversation_id):
            return None
        if from_id is not None and order is Order.ASC and conversation_id < from_id:
            return None
        first = await self.history.find(record.user_id, conversation_id)
        if first is None or first.conversation_id is not None or not _is_shown(first):
            return None
        (complete,) = await self.load_contents([first])
        return complete


def belongs_to(turn: Interaction, conversation_id: str) -> bool:
    """Return whether an interaction is part of a conversation, or its first one, which may have no conversation id."""
    if turn.conversation_id is None:
        return turn.id == conversation_id
    return turn.conversation_id == conversation_id


def _is_shown(turn: Interaction) -> bool:
    return turn.is_content_stored and turn.status in ANSWERED

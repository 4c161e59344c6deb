"""Reads the records of conversations from the store behind an outbox."""

from collections.abc import AsyncIterator, Mapping, Sequence

from domain.entities.conversation import ConversationRecord
from domain.exceptions import HistoryUnreadable
from domain.interfaces.conversation_records import ConversationRecords
from infra.history.sqlite.outbox.store_status import StoreStatus


class StoreRecords(ConversationRecords):
    """Reads and writes in the store itself; while it is known to be unavailable, `get` fails without waiting for it.

    A turn reads the record of its conversation; a conversation that is complete on this host continues without it.
    """

    def __init__(self, records: ConversationRecords, state: StoreStatus) -> None:
        self._records = records
        self._state = state

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        if self._state.is_away():
            raise HistoryUnreadable("the store is away")
        with self._state.observing():
            return await self._records.get(user_id, conversation_id)

    async def put(self, record: ConversationRecord) -> None:
        await self._records.put(record)

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._records.titles(user_id, conversation_ids)

    async def erase(self, user_id: str, conversation_id: str) -> None:
        await self._records.erase(user_id, conversation_id)

    async def erase_all(self, user_id: str, until_id: str) -> None:
        await self._records.erase_all(user_id, until_id)

    def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        return self._records.all(user_id=user_id)

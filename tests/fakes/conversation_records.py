"""The port of records of conversations in memory."""

from collections.abc import AsyncIterator, Mapping, Sequence

from domain.entities.conversation import ConversationRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.conversation_records import ConversationRecords


class InMemoryConversationRecords(ConversationRecords):
    """Holds records in memory; `is_away` makes calls fail.

    Attributes:
        kept: Stored records by user and conversation.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], ConversationRecord] = {}
        self.is_away = False

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        self._read()
        return self.kept.get((user_id, conversation_id))

    async def put(self, record: ConversationRecord) -> None:
        if self.is_away:
            raise HistoryUnavailable
        self.kept[record.user_id, record.conversation_id] = record

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        self._read()
        records = [self.kept.get((user_id, conversation)) for conversation in conversation_ids]
        return {
            record.conversation_id: record.title
            for record in records
            if record is not None and record.title
        }

    async def erase(self, user_id: str, conversation_id: str) -> None:
        self._read()
        self.kept.pop((user_id, conversation_id), None)

    async def erase_all(self, user_id: str, until_id: str) -> None:
        self._read()
        before_id = first_id_after(until_id)
        for key, record in list(self.kept.items()):
            if record.user_id == user_id and record.created_id < before_id:
                del self.kept[key]

    async def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        self._read()
        for record in list(self.kept.values()):
            if user_id in (None, record.user_id):
                yield record

    def _read(self) -> None:
        if self.is_away:
            raise HistoryUnreadable

"""Ports for reading and storing the records of conversations."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from domain.entities.conversation import ConversationRecord


class ConversationRecordReader(Protocol):
    """Reads the records of a complete store."""

    @abstractmethod
    def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        """Yield all records, or those of one user, in any order; for copies and exports.

        Records added or erased meanwhile may be missing.

        Raises:
            HistoryUnreadable: The store cannot be read.
            HistoryDamaged: The store holds data that this program cannot read.
        """
        ...


class ConversationRecords(ConversationRecordReader, Protocol):
    """Stores one record per user and conversation, separate from the interactions.

    Erasing all interactions of a user hides the records that were created until then, and `EraseHistory` erases them.
    """

    @abstractmethod
    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        """Return the record; None if this user has none for the conversation, or it has expired.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def put(self, record: ConversationRecord) -> None:
        """Replace the record; return once it is durable.

        The last of two concurrent calls wins. If all of the user's history was erased up to a time after
        `created_id`, nothing is stored, now or later.

        Raises:
            HistoryUnavailable: Not stored; a retry is safe.
        """
        ...

    @abstractmethod
    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the titles of the conversations that have one, by conversation id.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def erase(self, user_id: str, conversation_id: str) -> None:
        """Erase one record; no-op if there is none.

        Raises:
            HistoryUnreadable: The store is unavailable; nothing was erased.
        """
        ...

    @abstractmethod
    async def erase_all(self, user_id: str, until_id: str) -> None:
        """Erase the user's records that were created up to the millisecond of `until_id`. Idempotent.

        Raises:
            HistoryUnreadable: The store is unavailable; some may have been erased.
        """
        ...

"""Ports for reading and writing a complete store, for copies of it."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.interfaces.tombstones import Tombstones


class ArchiveReader(Protocol):
    """Iterates over a complete store, in an order of the store's choice, with constant memory."""

    @abstractmethod
    def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        """Yield every interaction once, except those added or erased meanwhile.

        Args:
            after: Key of the last record of an earlier iteration, to resume behind it.
            user_id: Yields only this user's records, ordered by id, without tombstones.

        Raises:
            HistoryUnreadable: The store cannot be read.
            HistoryDamaged: The store holds data that this program cannot read.
        """
        ...

    @abstractmethod
    async def estimated_count(self) -> int:
        """Return the approximate number of interactions, for a progress bar; 0 if unknown.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...


class HistoryArchive(ArchiveReader, Tombstones, Protocol):
    """A store that can also be the target of a copy.

    Attributes:
        batch_size: Recommended number of records for one `write`.
    """

    batch_size: int

    @abstractmethod
    async def write(self, records: Sequence[Record]) -> None:
        """Store records under the rules of `HistoryWriter.append`; return once they are durable.

        Some may be stored when it raises; a retry is safe.

        Raises:
            HistoryUnavailable: Not all were stored.
            Unstorable: The store rejects at least one of them permanently.
        """
        ...

    @abstractmethod
    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        """Return the records with these keys, in any order; missing ones are left out.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        """Store tombstones of another store, and erase what they cover. Idempotent.

        Raises:
            HistoryUnreadable: The store is unavailable; some may have been applied.
        """
        ...

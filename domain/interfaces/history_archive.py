"""A store as a whole, all users, for copying it."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.interfaces.tombstones import Tombstones


class ArchiveReader(Protocol):
    """Walks through a store, in an order of the store's own, at constant memory."""

    @abstractmethod
    def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        """Yield everything that stays there during the walk, each interaction once.

        Args:
            after: The place of the last record of an earlier walk over the same; this one goes on behind it.
            user_id: Only this user's records, by id; what was erased is then left out.

        Raises:
            HistoryUnreadable: The store cannot be read, or holds what this program cannot read.
        """
        ...

    @abstractmethod
    async def estimated_count(self) -> int:
        """Return about how many interactions there are, for a progress bar; 0 where nobody knows.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...


class HistoryArchive(ArchiveReader, Tombstones, Protocol):
    """A store that can also be written to as a whole.

    Attributes:
        batch_size: How many records `keep` is best given.
    """

    batch_size: int

    @abstractmethod
    async def write(self, records: Sequence[Record]) -> None:
        """Keep records under the rules of `HistoryWriter.append`; return only once they survive a crash.

        Some may be kept when it raises; doing it again is safe.

        Raises:
            HistoryUnavailable: Not all were kept.
            Unstorable: The store will never keep all of them.
        """
        ...

    @abstractmethod
    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        """Return the records at those of the places where there is one, in any order.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        """Remember what was erased elsewhere, and erase it here. The second time changes nothing.

        Raises:
            HistoryUnreadable: The store is away; some may be done.
        """
        ...

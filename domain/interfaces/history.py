"""Where interactions are kept."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery


class HistoryWriter(Protocol):
    """Somewhere an interaction can be put: a database, a queue, an outbox."""

    @abstractmethod
    def admit(self) -> None:
        """Return at once when an append made now is expected to succeed; asked before a provider is paid.

        Raises:
            HistoryUnavailable: Nothing can be kept right now.
        """
        ...

    @abstractmethod
    def begin(self, interaction: Interaction, *, lost_after_seconds: float) -> None:
        """Note that `interaction`, of status `interrupted`, is under way; returns at once and never fails.

        If the process dies before `append` of the same id, this becomes its record, once that many seconds
        have passed since receipt. An outcome never loses to it.
        """
        ...

    @abstractmethod
    async def append(self, interaction: Interaction) -> None:
        """Keep `interaction`; return only once it survives a crash.

        Appending an id that is already there changes nothing. One that was erased meanwhile stays erased.

        Raises:
            HistoryUnavailable: Not kept; safe to try again.
        """
        ...


class HistoryRepository(HistoryWriter, Protocol):
    """A writer that can also be read. Every look-up is bound to one user; nobody else's is ever returned."""

    @abstractmethod
    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        """Keep all of them as `append` does; some may be kept when it raises."""
        ...

    @abstractmethod
    async def search(self, query: HistoryQuery) -> Page:
        """Return one page; an unknown user has an empty history.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    async def recall(self, query: HistoryQuery) -> Page:
        """Return one page of a conversation's earlier turns, to be sent along with its next.

        As `search`, but while the store is away it may be answered from what this host holds, if it holds any.

        Raises:
            HistoryUnreadable: Neither can be read.
        """
        return await self.search(query)

    @abstractmethod
    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        """Return one page of the user's conversations; a page may be shorter than asked for and not be the last.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        """Return the user's figures, each interaction counted once; one group for each key there is, in any order.

        What `append` returned for counts, unless a queue still carries it.

        Raises:
            HistoryUnreadable: The store cannot be read, or not all of it in time: never a part of the sum.
        """
        ...

    @abstractmethod
    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        """Return the user's interaction with this id, whatever its status; None if there is none.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        """Return whether `find` finds the interaction, as soon as it does and after `seconds` at the latest.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def erase(self, user_id: str, interaction_id: str) -> None:
        """Erase one, and see to it that a later `append` of this id is erased too. The second time changes nothing.

        Raises:
            HistoryUnreadable: The store is away; nothing was done.
        """
        ...

    @abstractmethod
    async def erase_all(self, user_id: str, until_id: str) -> int:
        """Erase every interaction of the user whose millisecond is not after that of `until_id`, also those yet to be appended.

        Returns:
            How many were there.

        Raises:
            HistoryUnreadable: The store is away; nothing was done.
        """
        ...

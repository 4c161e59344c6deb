"""Ports for storing and reading interactions."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums


class HistoryWriter(Protocol):
    """Accepts interactions: a database, a queue or an outbox."""

    @abstractmethod
    def admit(self) -> None:
        """Check, without waiting, that an append is expected to succeed; called before a provider is.

        Raises:
            HistoryUnavailable: Nothing can be stored at the moment.
        """
        ...

    @abstractmethod
    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        """Mark the request of `interaction_id` as in flight. Does not wait and does not raise.

        If the process dies before `append` of the same id, the result of `interrupted` is stored `lost_after_seconds`
        after receipt. It never replaces an interaction stored by `append`.

        Args:
            interaction_id: The id of the request.
            user_id: Its user.
            interrupted: Returns its interaction, of status `interrupted`. Called at most once, at any time after this
                call; most requests end before it is needed.
            lost_after_seconds: From receipt until the request counts as interrupted.
        """
        ...

    @abstractmethod
    async def append(self, interaction: Interaction) -> None:
        """Store `interaction`; return once it is durable.

        Idempotent: appending a stored id again changes nothing. An erased id stays erased.

        Raises:
            HistoryUnavailable: Not stored; a retry is safe.
        """
        ...


class HistoryRepository(HistoryWriter, Protocol):
    """A writer that can also be read. Every read is restricted to one user."""

    @abstractmethod
    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        """Store all as `append` does; some may be stored when it raises."""
        ...

    @abstractmethod
    async def search(self, query: HistoryQuery) -> Page:
        """Return one page; empty for an unknown user.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    async def recall(self, query: HistoryQuery) -> Page:
        """Return one page of a conversation's earlier turns, as context of the next one.

        Like `search`, but while the store is unavailable the result may come from data on this host, if there is any.

        Raises:
            HistoryUnreadable: Neither can be read.
        """
        return await self.search(query)

    @abstractmethod
    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        """Return one page of the user's conversations; it may be shorter than `limit` without being the last.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    @abstractmethod
    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        """Return the user's statistics, one group per key, in any order. Each interaction is counted once.

        Includes every appended interaction that is not still in a queue.

        Raises:
            HistoryUnreadable: The store cannot be read, or not completely in time; partial sums are not returned.
        """
        ...

    @abstractmethod
    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        """Return the user's interaction with this id, of any status; None if there is none.

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
        """Erase one interaction, also if it is appended later. Idempotent.

        Raises:
            HistoryUnreadable: The store is unavailable; nothing was erased.
        """
        ...

    @abstractmethod
    async def erase_all(self, user_id: str, until_id: str) -> int:
        """Erase the user's interactions up to the millisecond of `until_id`, also those appended later.

        Returns:
            Number of interactions that were stored.

        Raises:
            HistoryUnreadable: The store is unavailable; nothing was erased.
        """
        ...


class UsageReader(Protocol):
    """Adds up the interactions of all users: the only read of history that is not restricted to one user.

    It returns neither texts nor users.
    """

    @abstractmethod
    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        """Return the figures of each day, model and credential, in any order. Each interaction is counted once.

        Includes every appended interaction that is not still in a queue, and none that is erased. A store that finds
        interactions by an index which it updates later, as DynamoDB does, may lack those of the last second.

        Raises:
            HistoryUnreadable: The store cannot be read, or not completely in time; partial sums are not returned.
        """
        ...

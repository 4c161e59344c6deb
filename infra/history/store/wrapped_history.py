"""The base of histories that change what reads of another history return."""

from collections.abc import Callable, Sequence

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.interfaces.history import HistoryRepository


class WrappedHistory(HistoryRepository):
    """Forwards every call; subclasses override some."""

    def __init__(self, history: HistoryRepository) -> None:
        self._history = history

    def admit(self) -> None:
        self._history.admit()

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self._history.begin(
            interaction_id, user_id, interrupted, lost_after_seconds=lost_after_seconds
        )

    async def append(self, interaction: Interaction) -> None:
        await self._history.append(interaction)

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        await self._history.append_many(interactions)

    async def search(self, query: HistoryQuery) -> Page:
        return await self._history.search(query)

    async def recall(self, query: HistoryQuery) -> Page:
        return await self._history.recall(query)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self._history.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        return await self._history.statistics(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        return await self._history.find(user_id, interaction_id)

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        return await self._history.wait_for(user_id, interaction_id, seconds=seconds)

    async def erase(self, user_id: str, interaction_id: str) -> None:
        await self._history.erase(user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        return await self._history.erase_all(user_id, until_id)

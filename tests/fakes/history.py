"""A history that forgets when the test ends."""

from collections.abc import Sequence

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import Interaction
from domain.exceptions import HistoryUnavailable
from domain.interfaces.history import HistoryRepository


class RememberingHistory(HistoryRepository):
    """Keeps everything in memory; `is_full` and `refuses` make it fail."""

    def __init__(self) -> None:
        self.kept: dict[str, Interaction] = {}
        self.begun: list[Interaction] = []
        self.is_full = False
        self.refuses = 0

    def admit(self) -> None:
        if self.is_full:
            raise HistoryUnavailable

    def begin(self, interaction: Interaction, *, lost_after_seconds: float) -> None:
        self.begun.append(interaction)

    async def append(self, interaction: Interaction) -> None:
        if self.refuses:
            self.refuses -= 1
            raise HistoryUnavailable
        self.kept.setdefault(interaction.id, interaction)

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        for interaction in interactions:
            await self.append(interaction)

    async def search(self, query: HistoryQuery) -> Page:
        found = sorted(
            (i for i in self.kept.values() if i.user_id == query.user_id),
            key=lambda i: i.id,
            reverse=query.order is Order.DESC,
        )
        return Page(interactions=found[: query.limit])

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        found = self.kept.get(interaction_id)
        return found if found is not None and found.user_id == user_id else None

    async def erase(self, user_id: str, interaction_id: str) -> None:
        if await self.find(user_id, interaction_id) is not None:
            del self.kept[interaction_id]

    async def erase_all(self, user_id: str, until_id: str) -> int:
        gone = [i.id for i in self.kept.values() if i.user_id == user_id and i.id <= until_id]
        for interaction_id in gone:
            del self.kept[interaction_id]
        return len(gone)

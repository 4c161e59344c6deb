"""A store that fails as a test demands."""

import asyncio
from collections.abc import Callable, Sequence

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.history.store.durable_store import DurableStore


class UnreliableStore(DurableStore):
    """Passes calls to another store, or fails them.

    Attributes:
        is_away: All calls fail immediately.
        hangs: Reads never end.
        may_write: While it is cleared, batches wait.
        has_batch: Set when a batch has arrived.
        refused: Ids that are rejected permanently, together with the rest of their batch.
        failing: Ids whose batches fail as in an outage, although the store answers.
        breaking: Ids whose batches fail with an unexpected error.
        error: Raised for every batch, as by a driver with a bug.
        fails_after_writing: Number of the next batches that are stored but reported as failed.
        batches: Ids of all batches, failed ones included.
    """

    def __init__(self, behind: DurableStore) -> None:
        self.behind = behind
        self.is_away = False
        self.hangs = False
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.has_batch = asyncio.Event()
        self.refused: set[str] = set()
        self.failing: set[str] = set()
        self.breaking: set[str] = set()
        self.error: BaseException | None = None
        self.fails_after_writing = 0
        self.batches: list[list[str]] = []

    def admit(self) -> None:
        self.behind.admit()

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self.behind.begin(
            interaction_id, user_id, interrupted, lost_after_seconds=lost_after_seconds
        )

    async def append(self, interaction: Interaction) -> None:
        await self.append_many([interaction])

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        self.batches.append([one.id for one in interactions])
        self.has_batch.set()
        await self.may_write.wait()
        if self.error is not None:
            raise self.error
        if self.is_away:
            raise HistoryUnavailable
        if self.failing & {one.id for one in interactions}:
            raise HistoryUnavailable
        if self.breaking & {one.id for one in interactions}:
            raise RuntimeError("a bug of the driver")
        if self.refused & {one.id for one in interactions}:
            raise Unstorable
        await self.behind.append_many(interactions)
        if self.fails_after_writing:
            self.fails_after_writing -= 1
            raise HistoryUnavailable

    async def search(self, query: HistoryQuery) -> Page:
        await self._read()
        return await self.behind.search(query)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        await self._read()
        return await self.behind.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        await self._read()
        return await self.behind.statistics(query)

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        await self._read()
        return await self.behind.usage(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        await self._read()
        return await self.behind.find(user_id, interaction_id)

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        await self._read()
        return await self.behind.erased_among(user_id, interaction_ids)

    async def erase(self, user_id: str, interaction_id: str) -> None:
        await self._read()
        await self.behind.erase(user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        await self._read()
        return await self.behind.erase_all(user_id, until_id)

    async def _read(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise HistoryUnreadable

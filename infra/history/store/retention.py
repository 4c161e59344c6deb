"""Retention of history."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.entities.conversation import ConversationPage, ConversationQuery, ConversationRecord
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import (
    LAST_MILLISECOND,
    Interaction,
    first_id_at,
    milliseconds_of,
)
from domain.entities.statistics import DAY_MILLISECONDS, Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.history import HistoryRepository, UsageReader
from infra.history.store.wrapped_history import WrappedHistory


@dataclass(frozen=True, slots=True)
class Retention:
    """Time from receipt to expiry; unlimited without `days`."""

    days: float | None = None

    def first_kept_id(self, now_milliseconds: int) -> str:
        """Return the smallest id that has not expired; empty without a limit."""
        if self.days is None:
            return ""
        return first_id_at(now_milliseconds - round(self.days * DAY_MILLISECONDS))

    def expires_milliseconds(self, interaction_id: str) -> int | None:
        """Return the time of expiry in milliseconds since 1970 UTC; None without a limit."""
        if self.days is None:
            return None
        expires_milliseconds = milliseconds_of(interaction_id) + round(self.days * DAY_MILLISECONDS)
        return min(expires_milliseconds, LAST_MILLISECOND)


FOR_EVER = Retention()


class RetainedHistory(WrappedHistory):
    """Hides expired interactions that the store has not removed yet."""

    def __init__(self, history: HistoryRepository, retention: Retention, clock: Clock) -> None:
        super().__init__(history)
        self._retention = retention
        self._clock = clock

    async def search(self, query: HistoryQuery) -> Page:
        return await self._history.search(self._kept(query))

    async def recall(self, query: HistoryQuery) -> Page:
        return await self._history.recall(self._kept(query))

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self._history.conversations(replace(query, from_id=self._first_kept_id()))

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        from_id = max(query.from_id or "", self._first_kept_id())
        return await self._history.statistics(replace(query, from_id=from_id))

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        if interaction_id < self._first_kept_id():
            return None
        return await self._history.find(user_id, interaction_id)

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        is_found = await self._history.wait_for(user_id, interaction_id, seconds=seconds)
        return is_found and interaction_id >= self._first_kept_id()

    def _kept(self, query: HistoryQuery) -> HistoryQuery:
        from_id = max(query.filter.from_id or "", self._first_kept_id())
        return replace(query, filter=replace(query.filter, from_id=from_id))

    def _first_kept_id(self) -> str:
        return self._retention.first_kept_id(self._clock.now_milliseconds())


class RetainedUsage(UsageReader):
    """Leaves out expired interactions that the store has not removed yet."""

    def __init__(self, usage: UsageReader, retention: Retention, clock: Clock) -> None:
        self._usage = usage
        self._retention = retention
        self._clock = clock

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        first_kept_id = self._retention.first_kept_id(self._clock.now_milliseconds())
        return await self._usage.usage(replace(query, from_id=max(query.from_id, first_kept_id)))


class RetainedRecords(ConversationRecords):
    """Hides expired records that the store has not removed yet, and expired items of the others."""

    def __init__(self, records: ConversationRecords, retention: Retention, clock: Clock) -> None:
        self._records = records
        self._retention = retention
        self._clock = clock

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        record = await self._records.get(user_id, conversation_id)
        return None if record is None else self._kept(record)

    async def put(self, record: ConversationRecord) -> None:
        await self._records.put(record)

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._records.titles(user_id, conversation_ids)

    async def erase(self, user_id: str, conversation_id: str) -> None:
        await self._records.erase(user_id, conversation_id)

    async def erase_all(self, user_id: str, until_id: str) -> None:
        await self._records.erase_all(user_id, until_id)

    async def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        async for record in self._records.all(user_id=user_id):
            kept = self._kept(record)
            if kept is not None:
                yield kept

    def _kept(self, record: ConversationRecord) -> ConversationRecord | None:
        first_kept_id = self._retention.first_kept_id(self._clock.now_milliseconds())
        return record.without_expired(first_kept_id)

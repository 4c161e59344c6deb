"""Merges reads of the outboxes of this host with reads of the store."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import HistoryUnreadable
from domain.interfaces.clock import Clock
from infra.history.queries.page_merge import (
    better,
    merged,
    provisional_ids,
    without_replaced,
)
from infra.history.sqlite.outbox.complete_conversations import NoteBegun
from infra.history.sqlite.outbox.delivery_jobs import (
    last_undelivered,
    last_undelivered_of_all,
    last_undelivered_turn,
)
from infra.history.sqlite.outbox.host_reader import HostReader, LastUndelivered, without_erased
from infra.history.sqlite.outbox.relay import Relay
from infra.history.sqlite.outbox.store_status import StoreStatus
from infra.history.sqlite.store import SqliteHistory
from infra.history.store.durable_store import DurableStore

_OTHERS_POLL_SECONDS = 0.02


class MergedReader:
    """Reads both as one history; its methods are those of `HistoryRepository` and `UsageReader`.

    An interaction that only this host has was not delivered yet, or was erased elsewhere; the store shows which.
    """

    def __init__(
        self,
        file: SqliteHistory,
        host: HostReader,
        store: DurableStore,
        state: StoreStatus,
        relay: Relay,
        clock: Clock,
        *,
        read_seconds: float,
        is_only_host: bool,
    ) -> None:
        """Merge reads of outboxes and a store.

        Args:
            file: This process's outbox.
            host: All outboxes of this host.
            store: The store they deliver to.
            state: The last known state of the store.
            relay: Delivers from `file`.
            clock: For the times at which conversations begin.
            read_seconds: Limit of one read.
            is_only_host: Whether no other host writes to the store, and every append of this one uses its outboxes.
        """
        self._file = file
        self._host = host
        self._store = store
        self._state = state
        self._relay = relay
        self._clock = clock
        self._read_seconds = read_seconds
        self._is_only_host = is_only_host

    async def search(self, query: HistoryQuery) -> Page:
        async with self._time_limit():
            return await self._search(query)

    async def recall(self, query: HistoryQuery) -> Page:
        if self._state.is_away():
            complete = await self._complete_conversation(query)
            if complete is not None:
                return complete
        asked_milliseconds = self._clock.now_milliseconds()
        try:
            page = await self.search(query)
        except HistoryUnreadable:
            complete = await self._complete_conversation(query)
            if complete is None:
                raise
            return complete
        if not page.interactions and page.next_id is None and query.after_id is None:
            self._record_begin(query, asked_milliseconds)
        return page

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        async with self._time_limit():
            await self._delivered(partial(last_undelivered_turn, user_id=query.user_id))
            with self._state.observing():
                return await self._store.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        async with self._counting(partial(last_undelivered, user_id=query.user_id)):
            return await self._store.statistics(query)

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        async with self._counting(last_undelivered_of_all):
            return await self._store.usage(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        here = await self._host.find(user_id, interaction_id)
        if here is not None and self._state.is_away():
            return here
        try:
            with self._state.observing():
                there = await self._store.find(user_id, interaction_id)
                if there is not None:
                    return there if here is None else better(there, here)
                if here is None:
                    return None
                erased = await self._store.erased_among(user_id, [interaction_id])
        except HistoryUnreadable:
            if here is None:
                raise
            return here
        return None if erased else here

    @asynccontextmanager
    async def _counting(self, last: LastUndelivered) -> AsyncIterator[None]:
        """Wait for the delivery of all rows up to `last`, and limit the time until the figures are read.

        A failure is not recorded: figures of many interactions can take too long in a store that answers other calls.
        """
        async with self._time_limit(is_recorded=False):
            await self._delivered(last)
            yield
            self._state.note_success()

    async def _complete_conversation(self, query: HistoryQuery) -> Page | None:
        if not self._is_only_host or query.filter.conversation_id is None:
            return None
        return await self._host.whole_conversation(query)

    def _record_begin(self, query: HistoryQuery, at_milliseconds: int) -> None:
        """Record that the conversation has no turns yet; queued before its first turn, so no caller waits for it."""
        if self._is_only_host and query.filter.conversation_id is not None:
            self._file.commits.submit(
                NoteBegun(query.user_id, query.filter.conversation_id, at_milliseconds)
            )

    async def _search(self, query: HistoryQuery) -> Page:
        # The host first: rows that leave it between the two reads have reached the store by the second.
        here = await self._host.search(query)
        with self._state.observing():
            there = await self._store.search(query)
            page = merged(query, [here, there])
            known = {interaction.id for interaction in there.interactions}
            page = without_replaced(page, await self._other_copies(query.user_id, page, known))
            unknown = [
                interaction.id for interaction in page.interactions if interaction.id not in known
            ]
            if not unknown:
                return page
            return without_erased(page, await self._store.erased_among(query.user_id, unknown))

    async def _other_copies(
        self, user_id: str, page: Page, known: Collection[str]
    ) -> Sequence[Interaction]:
        """Return copies of provisional interactions: from this host of those in the store, and the reverse."""
        provisional = provisional_ids(page)
        here = await self._host.copies(user_id, [each for each in provisional if each in known])
        there = await asyncio.gather(
            *(self._store.find(user_id, each) for each in provisional if each not in known)
        )
        return [*here, *[found for found in there if found is not None]]

    async def _delivered(self, last: LastUndelivered) -> None:
        """Wait until these rows of this host are delivered, so that none is counted on the host and in the store."""
        left = None
        while True:
            tried = self._relay.next_try()
            left = await self._host.undelivered(last, left)
            if not left:
                return
            if self._file.path in left:
                await asyncio.shield(tried)
            else:
                await asyncio.sleep(_OTHERS_POLL_SECONDS)

    @asynccontextmanager
    async def _time_limit(self, *, is_recorded: bool = True) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._read_seconds):
                yield
        except TimeoutError as exc:
            if is_recorded:
                self._state.note_failure()
            raise HistoryUnreadable("the store is busy, or away") from exc

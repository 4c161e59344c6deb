"""Reads what an outbox holds together with what has reached the store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.exceptions import HistoryUnreadable
from infra.history.durable_store import DurableStore
from infra.history.host_reader import HostReader, LastWaiting, without
from infra.history.merged_pages import better, merged
from infra.history.outbox_jobs import last_waiting, last_waiting_turn
from infra.history.relay import Relay
from infra.history.sqlite import SqliteHistory
from infra.history.store_state import StoreState

_OTHERS_LOOK_SECONDS = 0.02


class OutboxReading:
    """Shows both as one history; methods are those of `HistoryRepository`.

    What only this host holds was not delivered yet, or was erased elsewhere: the store is asked which.
    """

    def __init__(
        self,
        file: SqliteHistory,
        host: HostReader,
        store: DurableStore,
        state: StoreState,
        relay: Relay,
        *,
        read_seconds: float,
    ) -> None:
        self._file = file
        self._host = host
        self._store = store
        self._state = state
        self._relay = relay
        self._read_seconds = read_seconds

    async def search(self, query: HistoryQuery) -> Page:
        async with self._in_time():
            return await self._search(query)

    async def recall(self, query: HistoryQuery) -> Page:
        if self._state.is_away():
            here = await self._host.search(query)
            if here.interactions:
                return here
        try:
            return await self.search(query)
        except HistoryUnreadable:
            here = await self._host.search(query)
            if not here.interactions:
                raise
            return here

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        async with self._in_time():
            await self._delivered(query.user_id, last_waiting_turn)
            with self._state.noting():
                return await self._store.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        async with self._in_time():
            await self._delivered(query.user_id, last_waiting)
            with self._state.noting():
                return await self._store.statistics(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        here = await self._host.find(user_id, interaction_id)
        if here is not None and self._state.is_away():
            return here
        try:
            with self._state.noting():
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

    async def _search(self, query: HistoryQuery) -> Page:
        # The host first: what leaves it between the two reads has reached the store by the second.
        here = await self._host.search(query)
        with self._state.noting():
            there = await self._store.search(query)
            page = merged(query, [here, there])
            known = {one.id for one in there.interactions}
            unknown = [one.id for one in page.interactions if one.id not in known]
            if not unknown:
                return page
            return without(page, await self._store.erased_among(query.user_id, unknown))

    async def _delivered(self, user_id: str, last: LastWaiting) -> None:
        """Return once what this host holds of the user so far is delivered: nothing can be counted here and there."""
        left = None
        while True:
            tried = self._relay.next_try()
            left = await self._host.waiting(user_id, last, left)
            if not left:
                return
            if self._file.path in left:
                await asyncio.shield(tried)
            else:
                await asyncio.sleep(_OTHERS_LOOK_SECONDS)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._read_seconds):
                yield
        except TimeoutError as exc:
            self._state.failed()
            raise HistoryUnreadable("the store is busy, or away") from exc

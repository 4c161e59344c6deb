"""Hand out all of a user's history."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, Status, first_id_at
from domain.exceptions import HistoryUnreadable
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository

TRIES_A_PAGE = 4
PAUSE_SECONDS = 1.0

_FIRST_PAGE = 10
_LARGEST_PAGE = 100
_SMALL_PAGE_CHARACTERS = 256 * 1024
_LARGE_PAGE_CHARACTERS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportHistory:
    """Everything of a user that was asked before the export began, of every status, oldest first, each once."""

    history: HistoryRepository
    clock: Clock

    async def __call__(self, user_id: str) -> AsyncGenerator[Sequence[Interaction], None]:
        """Yield page after page; nothing is read ahead, and pages of long texts hold few of them.

        A page that cannot be read is tried again three times, but for the first: who asked learns of that at once.

        Raises:
            HistoryUnreadable: The store cannot be read; what was yielded is not all.
        """
        everything = HistoryFilter(
            statuses=frozenset(Status), to_id=first_id_at(self.clock.now_milliseconds() + 1)
        )
        query = HistoryQuery(user_id=user_id, filter=everything, order=Order.ASC, limit=_FIRST_PAGE)
        page = await self.history.search(query)
        while True:
            yield page.interactions
            if page.next_id is None:
                return
            limit = _next_limit(query.limit, page.interactions)
            query = replace(query, after_id=page.next_id, limit=limit)
            page = await self._read(query)

    async def _read(self, query: HistoryQuery) -> Page:
        for _ in range(TRIES_A_PAGE - 1):
            try:
                return await self.history.search(query)
            except HistoryUnreadable:
                await self.clock.sleep(PAUSE_SECONDS)
        return await self.history.search(query)


def _next_limit(limit: int, interactions: Sequence[Interaction]) -> int:
    """Return how many to read next, so that a page is neither a handful of words nor a hundred long answers."""
    characters = sum([len(one.prompt.text) + len(one.text) for one in interactions])
    if characters > _LARGE_PAGE_CHARACTERS:
        return max(limit // 4, 1)
    if characters < _SMALL_PAGE_CHARACTERS:
        return min(limit * 2, _LARGEST_PAGE)
    return limit

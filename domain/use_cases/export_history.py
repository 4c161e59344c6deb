"""Export all of a user's history."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, Status, first_id_at
from domain.entities.items import size_bytes
from domain.exceptions import HistoryUnreadable
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from domain.use_cases.load_contents import CONTENTS_AS_STORED, LoadContents

TRIES_PER_PAGE = 4
PAUSE_SECONDS = 1.0

_FIRST_PAGE = 10
_LARGEST_PAGE = 100
_SMALL_PAGE_CHARACTERS = 256 * 1024
_LARGE_PAGE_CHARACTERS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportHistory:
    """Yields all of a user's interactions received before the export began, of every status, oldest first, each once."""

    history: HistoryRepository
    clock: Clock
    load_contents: LoadContents = CONTENTS_AS_STORED

    async def __call__(self, user_id: str) -> AsyncGenerator[Sequence[Interaction], None]:
        """Yield the pages, without reading ahead; pages of long texts hold fewer interactions.

        Every page but the first is retried three times; a failure of the first is raised at once.

        Raises:
            HistoryUnreadable: The store cannot be read; the export is incomplete.
        """
        everything = HistoryFilter(
            statuses=frozenset(Status), to_id=first_id_at(self.clock.now_milliseconds() + 1)
        )
        query = HistoryQuery(user_id=user_id, filter=everything, order=Order.ASC, limit=_FIRST_PAGE)
        page = await self.history.search(query)
        while True:
            yield await self.load_contents(page.interactions)
            if page.next_id is None:
                return
            limit = _next_limit(query.limit, page.interactions)
            query = replace(query, after_id=page.next_id, limit=limit)
            page = await self._read(query)

    async def _read(self, query: HistoryQuery) -> Page:
        for _ in range(TRIES_PER_PAGE - 1):
            try:
                return await self.history.search(query)
            except HistoryUnreadable:
                await self.clock.sleep(PAUSE_SECONDS)
        return await self.history.search(query)


def _next_limit(limit: int, interactions: Sequence[Interaction]) -> int:
    """Return the limit of the next page, adapted to the size of the last one."""
    characters = sum([_characters_of(each) for each in interactions])
    if characters > _LARGE_PAGE_CHARACTERS:
        return max(limit // 4, 1)
    if characters < _SMALL_PAGE_CHARACTERS:
        return min(limit * 2, _LARGEST_PAGE)
    return limit


def _characters_of(interaction: Interaction) -> int:
    """Return the approximate length of an interaction."""
    prompt, items = interaction.prompt, interaction.items
    message = prompt.new_message
    characters = len(message.text) + len(interaction.text)
    if items or message.items or prompt.tools:
        characters += prompt.size_bytes + size_bytes(items)
        for item in items:
            if item.metadata is not None:
                characters += len(item.metadata.value)
    return characters

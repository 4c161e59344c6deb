"""Read a page of a user's history."""

from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryQuery, Page
from domain.interfaces.history import HistoryRepository
from domain.use_cases.load_contents import CONTENTS_AS_STORED, LoadContents


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Reads one page, at once or when a given interaction has become visible."""

    history: HistoryRepository
    load_contents: LoadContents = CONTENTS_AS_STORED

    async def __call__(
        self, query: HistoryQuery, *, with_id: str | None = None, wait_seconds: float = 0.0
    ) -> tuple[Page, bool]:
        """Return the page, and whether the interaction `with_id` is visible (always true when none is named).

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        is_complete = with_id is None or await self.history.wait_for(
            query.user_id, with_id, seconds=wait_seconds
        )
        page = await self.history.search(query)
        interactions = await self.load_contents(page.interactions)
        if interactions is not page.interactions:
            page = replace(page, interactions=interactions)
        return page, is_complete

"""Read a page of a user's history."""

from dataclasses import dataclass

from domain.entities.history_query import HistoryQuery, Page
from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Reads one page, at once or when a given interaction has become visible."""

    history: HistoryRepository

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
        return await self.history.search(query), is_complete

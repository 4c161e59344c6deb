"""Read a page of a user's history."""

from dataclasses import dataclass

from domain.entities.deadline import Deadline
from domain.entities.history_query import HistoryQuery, Page
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository

_LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """One page, at once or when a given interaction has become visible."""

    history: HistoryRepository
    clock: Clock

    async def __call__(
        self, query: HistoryQuery, *, with_id: str | None = None, wait_seconds: float = 0.0
    ) -> tuple[Page, bool]:
        """Return the page, and whether the interaction `with_id` is visible (always true when none is named).

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        is_complete = with_id is None or await self._is_visible(
            query.user_id, with_id, wait_seconds
        )
        return await self.history.search(query), is_complete

    async def _is_visible(self, user_id: str, interaction_id: str, wait_seconds: float) -> bool:
        until = Deadline(self.clock.monotonic() + wait_seconds)
        while await self.history.find(user_id, interaction_id) is None:
            left_seconds = until.remaining_seconds(self.clock.monotonic())
            if left_seconds <= 0:
                return False
            await self.clock.sleep(min(_LOOK_AGAIN_SECONDS, left_seconds))
        return True

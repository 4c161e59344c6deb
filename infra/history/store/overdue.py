"""Answers in progress whose process will never finish them."""

from dataclasses import replace

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import PROVISIONAL, Interaction, Status
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from infra.history.store.wrapped_history import WrappedHistory

BACKGROUND_SECONDS = 3600.0
GRACE_SECONDS = 300.0
"""Time for an outcome to be stored after the end of its answer."""


class OverdueHistory(WrappedHistory):
    """Shows interactions as `interrupted` that are `in_progress` for longer than the time limit of an answer.

    No outcome is stored if the process dies together with its disk. The stored interaction is not changed, and a later
    outcome replaces it. Statistics count the stored status.
    """

    def __init__(
        self,
        history: HistoryRepository,
        clock: Clock,
        *,
        background_seconds: float = BACKGROUND_SECONDS,
    ) -> None:
        """Read `history`.

        Args:
            history: The stored interactions.
            clock: The current time.
            background_seconds: Longest time from the receipt of a request to the end of its answer.
        """
        super().__init__(history)
        self._clock = clock
        self._longest_milliseconds = round((background_seconds + GRACE_SECONDS) * 1000)

    async def search(self, query: HistoryQuery) -> Page:
        statuses = query.filter.statuses
        if statuses.isdisjoint(PROVISIONAL):
            return await self._history.search(query)
        wanted = replace(query.filter, statuses=statuses | {Status.IN_PROGRESS})
        page = await self._history.search(replace(query, filter=wanted))
        shown = [self._current(interaction) for interaction in page.interactions]
        return Page(
            interactions=[interaction for interaction in shown if interaction.status in statuses],
            next_id=page.next_id,
        )

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        found = await self._history.find(user_id, interaction_id)
        return None if found is None else self._current(found)

    def _current(self, interaction: Interaction) -> Interaction:
        if interaction.status is not Status.IN_PROGRESS:
            return interaction
        age_milliseconds = self._clock.now_milliseconds() - interaction.milliseconds
        if age_milliseconds <= self._longest_milliseconds:
            return interaction
        return replace(interaction, status=Status.INTERRUPTED)

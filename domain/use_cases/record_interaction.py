"""Bring what came through the queue into the store."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.exceptions import Unstorable
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from domain.interfaces.interaction_queue import Delivery, InteractionQueue
from domain.interfaces.telemetry import QueueObserver

REFUSED = "the store refuses it"


@dataclass(frozen=True, slots=True)
class RecordInteraction:
    """Deliveries in, history out: none leaves the queue before the store has it, and none that never can is kept there."""

    queue: InteractionQueue
    history: HistoryRepository
    clock: Clock
    observer: QueueObserver

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        """Store what can be read and take it off the queue; bury the rest with its reason.

        Doing it again changes nothing, so it may be interrupted anywhere.

        Raises:
            HistoryUnavailable: The store is away; nothing that was not stored left the queue.
            QueueUnavailable: Some are stored but still on the queue, or could not be buried; they come again.
        """
        started_seconds = self.clock.monotonic()
        stored, refused = await self._store([one for one in deliveries if one.interaction])
        if stored:
            await self.queue.remove(stored)
            self._observe(stored, started_seconds)
        unreadable = [(one, one.problem) for one in deliveries if one.interaction is None]
        for delivery, reason in [*unreadable, *((one, REFUSED) for one in refused)]:
            await self.queue.bury(delivery, reason)
            work_seconds = self.clock.monotonic() - started_seconds
            self.observer.observe_buried(delivery, reason, work_seconds=work_seconds)

    async def _store(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
        """Return those the store has, and those it never will."""
        try:
            await self._append(deliveries)
        except Unstorable:
            if len(deliveries) == 1:
                return (), deliveries
        else:
            return deliveries, ()
        middle = len(deliveries) // 2
        first_stored, first_refused = await self._store(deliveries[:middle])
        then_stored, then_refused = await self._store(deliveries[middle:])
        return [*first_stored, *then_stored], [*first_refused, *then_refused]

    async def _append(self, deliveries: Sequence[Delivery]) -> None:
        await self.history.append_many(
            [one.interaction for one in deliveries if one.interaction is not None]
        )

    def _observe(self, deliveries: Sequence[Delivery], started_seconds: float) -> None:
        work_seconds = self.clock.monotonic() - started_seconds
        now_milliseconds = self.clock.now_milliseconds()
        for one in deliveries:
            lag_milliseconds = now_milliseconds - one.sent_milliseconds
            self.observer.observe_recorded(
                one, lag_seconds=max(0.0, lag_milliseconds / 1000), work_seconds=work_seconds
            )

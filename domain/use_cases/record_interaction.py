"""Store the interactions received from the queue."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.exceptions import HistoryUnavailable, Unstorable
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from domain.interfaces.interaction_queue import Delivery, InteractionQueue
from domain.interfaces.telemetry import QueueObserver

logger = logging.getLogger(__name__)

FAILS_ALONE = "it fails while others are kept"
BREAKS_STORE = "storing it fails unexpectedly"
MOST_RECEIVES = 5
"""Deliveries of a message that fails for unknown reasons before it becomes a dead letter; SQS itself moves it after ten."""


@dataclass(slots=True)
class _Outcome:
    """Outcome of deliveries.

    Attributes:
        stored: Deliveries that were stored.
        rejected: Deliveries that the store rejects permanently, with the reason.
        failing: Deliveries that failed for a reason that may be temporary, while the store answers; with the reason.
    """

    stored: list[Delivery] = field(default_factory=list)
    rejected: list[tuple[Delivery, str]] = field(default_factory=list)
    failing: list[tuple[Delivery, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordInteraction:
    """Stores messages of the queue. A message is removed once it is stored, or moved to the dead letters if it cannot be."""

    queue: InteractionQueue
    history: HistoryRepository
    clock: Clock
    observer: QueueObserver

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        """Store the valid messages and remove them from the queue; move the others to the dead letters.

        A message that fails unexpectedly while others are stored is left for redelivery, and becomes a dead letter at
        the fifth delivery. Idempotent, so it may be interrupted at any time.

        Raises:
            HistoryUnavailable: The store is unavailable; messages that were not stored stay in the queue.
            QueueUnavailable: Some stored messages are still in the queue, or some could not be moved to the dead
                letters; they are delivered again.
        """
        started_seconds = self.clock.monotonic()
        outcome = _Outcome()
        await self._store([delivery for delivery in deliveries if delivery.interaction], outcome)
        if outcome.failing and not outcome.stored and not outcome.rejected:
            raise HistoryUnavailable("no message could be stored")
        await self._settle(deliveries, outcome, started_seconds)

    async def each(self, deliveries: Sequence[Delivery]) -> None:
        """Do the same message by message, with a store that responds, so that each failure is caused by its message.

        Raises:
            QueueUnavailable: As in `__call__`.
        """
        started_seconds = self.clock.monotonic()
        outcome = _Outcome()
        for delivery in deliveries:
            if delivery.interaction is not None:
                try:
                    await self._store([delivery], outcome)
                except HistoryUnavailable:
                    outcome.failing.append((delivery, FAILS_ALONE))
        await self._settle(deliveries, outcome, started_seconds)

    async def _settle(
        self, deliveries: Sequence[Delivery], outcome: _Outcome, started_seconds: float
    ) -> None:
        if outcome.stored:
            await self.queue.remove(outcome.stored)
            self._observe(outcome.stored, started_seconds)
        invalid = [(each, each.problem) for each in deliveries if each.interaction is None]
        exhausted = [pair for pair in outcome.failing if pair[0].receives >= MOST_RECEIVES]
        for delivery, reason in [*invalid, *outcome.rejected, *exhausted]:
            await self.queue.bury(delivery, reason)
            work_seconds = self.clock.monotonic() - started_seconds
            self.observer.observe_dead_letter(delivery, reason, work_seconds=work_seconds)

    async def _store(self, deliveries: Sequence[Delivery], outcome: _Outcome) -> None:
        """Store a batch; if it is rejected, divide it in halves until the rejected messages are found."""
        if not deliveries:
            return
        try:
            await self._append(deliveries)
        except Unstorable as exc:
            if len(deliveries) == 1:
                outcome.rejected.append((deliveries[0], exc.reason))
                return
        except HistoryUnavailable:
            raise
        except Exception:
            if len(deliveries) == 1:
                logger.exception("storing an interaction fails unexpectedly")
                outcome.failing.append((deliveries[0], BREAKS_STORE))
                return
        else:
            outcome.stored += deliveries
            return
        middle = len(deliveries) // 2
        await self._store(deliveries[:middle], outcome)
        await self._store(deliveries[middle:], outcome)

    async def _append(self, deliveries: Sequence[Delivery]) -> None:
        await self.history.append_many(
            [each.interaction for each in deliveries if each.interaction is not None]
        )

    def _observe(self, deliveries: Sequence[Delivery], started_seconds: float) -> None:
        work_seconds = self.clock.monotonic() - started_seconds
        now_milliseconds = self.clock.now_milliseconds()
        for delivery in deliveries:
            lag_milliseconds = now_milliseconds - delivery.sent_milliseconds
            self.observer.observe_recorded(
                delivery, lag_seconds=max(0.0, lag_milliseconds / 1000), work_seconds=work_seconds
            )

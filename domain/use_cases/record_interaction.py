"""Bring what came through the queue into the store."""

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
"""So often a message comes that fails for no known reason, until it is buried; SQS itself would do so after ten times."""


@dataclass(slots=True)
class _Outcome:
    """What became of deliveries.

    Attributes:
        stored: The store has them.
        buried: It never will; with the reason.
        failing: They failed for a reason that may pass, while the store answers; with what is known of it.
    """

    stored: list[Delivery] = field(default_factory=list)
    buried: list[tuple[Delivery, str]] = field(default_factory=list)
    failing: list[tuple[Delivery, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordInteraction:
    """Deliveries in, history out: none leaves the queue before the store has it, and none that never can is kept there."""

    queue: InteractionQueue
    history: HistoryRepository
    clock: Clock
    observer: QueueObserver

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        """Store what can be read and take it off the queue; bury the rest with its reason.

        One that fails unexpectedly while others are stored is left to come again, and buried the fifth time it does.
        Doing it again changes nothing, so it may be interrupted anywhere.

        Raises:
            HistoryUnavailable: The store is away; nothing that was not stored left the queue.
            QueueUnavailable: Some are stored but still on the queue, or could not be buried; they come again.
        """
        started_seconds = self.clock.monotonic()
        outcome = _Outcome()
        await self._store([one for one in deliveries if one.interaction], outcome)
        if outcome.failing and not outcome.stored and not outcome.buried:
            raise HistoryUnavailable("nothing of it could be stored")
        await self._settle(deliveries, outcome, started_seconds)

    async def each(self, deliveries: Sequence[Delivery]) -> None:
        """Do the same one by one, with a store that answers: what fails now fails for a reason of its own.

        Raises:
            QueueUnavailable: As above.
        """
        started_seconds = self.clock.monotonic()
        outcome = _Outcome()
        for one in deliveries:
            if one.interaction is not None:
                try:
                    await self._store([one], outcome)
                except HistoryUnavailable:
                    outcome.failing.append((one, FAILS_ALONE))
        await self._settle(deliveries, outcome, started_seconds)

    async def _settle(
        self, deliveries: Sequence[Delivery], outcome: _Outcome, started_seconds: float
    ) -> None:
        if outcome.stored:
            await self.queue.remove(outcome.stored)
            self._observe(outcome.stored, started_seconds)
        unreadable = [(one, one.problem) for one in deliveries if one.interaction is None]
        hopeless = [pair for pair in outcome.failing if pair[0].receives >= MOST_RECEIVES]
        for delivery, reason in [*unreadable, *outcome.buried, *hopeless]:
            await self.queue.bury(delivery, reason)
            work_seconds = self.clock.monotonic() - started_seconds
            self.observer.observe_dead_letter(delivery, reason, work_seconds=work_seconds)

    async def _store(self, deliveries: Sequence[Delivery], outcome: _Outcome) -> None:
        """Store what the store takes; of a batch that it does not take, each half by itself."""
        if not deliveries:
            return
        try:
            await self._append(deliveries)
        except Unstorable as exc:
            if len(deliveries) == 1:
                outcome.buried.append((deliveries[0], exc.reason))
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

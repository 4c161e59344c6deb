"""Records the outcomes of queue messages."""

from collections import Counter

from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.telemetry import QueueObserver


class RecordingQueueObserver(QueueObserver):
    """Records every lag, and counts the dead letters by reason."""

    def __init__(self) -> None:
        self.lags_seconds: list[float] = []
        self.buried: Counter[str] = Counter()

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        self.lags_seconds.append(lag_seconds)

    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        self.buried[reason] += 1

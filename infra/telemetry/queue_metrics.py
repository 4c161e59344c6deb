"""What became of messages that came through the queue."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.telemetry import QueueObserver

_LAG_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class QueueMetrics(QueueObserver):
    """How far the store is behind the queue, and what had to be buried."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lags = Histogram(
            "rt_queue_lag_seconds",
            "From an interaction's sending to the queue until the store has it.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self._buried = Counter(
            "rt_queue_buried_total",
            "Messages that can never be stored, put among the dead letters.",
            ("reason",),
            registry=registry,
        )

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        self._lags.observe(lag_seconds)

    def observe_buried(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        self._buried.labels(reason).inc()

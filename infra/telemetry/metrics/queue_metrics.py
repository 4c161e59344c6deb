"""Metrics of the messages that a worker processed."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.telemetry import QueueObserver
from infra.telemetry.metrics.histogram import Histogram

_LAG_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class QueueMetrics(QueueObserver, Collector):
    """Measures the time from sending to storing, and counts dead letters by reason."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lags = Histogram(
            "rt_queue_lag_seconds",
            "Time from sending an interaction to the queue until it is stored.",
            (),
            _LAG_SECONDS,
        )
        registry.register(lags)
        registry.register(self)
        self._lags = lags.series()
        self._dead_letters: Counter[str] = Counter()

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        self._lags.observe(lag_seconds)

    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        self._dead_letters[reason] += 1

    def collect(self) -> Iterable[Metric]:
        moved = CounterMetricFamily(
            "rt_queue_buried",
            "Messages moved to the dead letters because they cannot be stored.",
            labels=("reason",),
        )
        for reason, count in self._dead_letters.copy().items():
            moved.add_metric((reason,), count)
        yield moved

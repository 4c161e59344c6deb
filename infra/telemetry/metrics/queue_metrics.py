"""What became of messages that came through the queue."""

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
    """How far the store is behind the queue, and what had to be buried."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lags = Histogram(
            "rt_queue_lag_seconds",
            "From an interaction's sending to the queue until the store has it.",
            (),
            _LAG_SECONDS,
        )
        registry.register(lags)
        registry.register(self)
        self._lags = lags.series()
        self._buried: Counter[str] = Counter()

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        self._lags.observe(lag_seconds)

    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        self._buried[reason] += 1

    def collect(self) -> Iterable[Metric]:
        buried = CounterMetricFamily(
            "rt_queue_buried",
            "Messages that can never be stored, put among the dead letters.",
            labels=("reason",),
        )
        for reason, count in self._buried.copy().items():
            buried.add_metric((reason,), count)
        yield buried

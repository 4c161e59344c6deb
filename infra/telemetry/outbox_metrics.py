"""What waits in the outbox, and whether it is carried away."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxFigures:
    """An outbox at one moment.

    Attributes:
        rows: Interactions still to be delivered.
        size_bytes: Their size.
        fill_ratio: How much of what it may hold is used; at 1.0 nothing new is accepted.
        lag_seconds: The age of the oldest of the host.
        relay_failures: How often what delivers them failed unexpectedly, since start.
    """

    rows: int
    size_bytes: int
    fill_ratio: float
    lag_seconds: float
    relay_failures: int


class OutboxMetrics(Collector):
    """Asks for the figures when the metrics are read."""

    def __init__(self, figures: Callable[[], OutboxFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        now = self._figures()
        for name, meaning, value in (
            ("rt_outbox_rows", "Interactions this process has still to deliver.", now.rows),
            ("rt_outbox_bytes", "Their size.", now.size_bytes),
            ("rt_outbox_fill_ratio", "How much of what it may hold is used.", now.fill_ratio),
            ("rt_outbox_lag_seconds", "The age of the oldest of this host.", now.lag_seconds),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)
        yield CounterMetricFamily(
            "rt_outbox_relay_failures",
            "How often what delivers them failed unexpectedly, and was begun again.",
            value=now.relay_failures,
        )

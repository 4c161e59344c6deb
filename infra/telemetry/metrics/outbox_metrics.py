"""What waits in the outbox, and whether it is carried away."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.entities.interaction import Interaction, milliseconds_of
from domain.interfaces.clock import Clock
from infra.history.sqlite.outbox.outbox import Outbox
from infra.telemetry.metrics.histogram import Histogram

_DELIVERY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxFigures:
    """An outbox at one moment.

    Attributes:
        rows: Interactions still to be delivered.
        size_bytes: Their size.
        fill_ratio: How much of what it may hold is used; at 1.0 nothing new is accepted.
        lag_seconds: The age of the oldest of the host.
        relay_failures: How often what delivers them failed unexpectedly, since start.
        set_aside_rows: Interactions that the store refuses, kept here and not tried again until the next start.
    """

    rows: int
    size_bytes: int
    fill_ratio: float
    lag_seconds: float
    relay_failures: int
    set_aside_rows: int = 0

    @classmethod
    def of(cls, outbox: Outbox) -> Self:
        """Return those of this moment."""
        backlog = outbox.backlog()
        return cls(
            rows=backlog.rows,
            size_bytes=backlog.size_bytes,
            fill_ratio=outbox.fill_ratio(),
            lag_seconds=outbox.lag_seconds(),
            relay_failures=outbox.relay_failures(),
            set_aside_rows=outbox.set_aside().rows,
        )


class OutboxMetrics(Collector):
    """Asks for the figures when the metrics are read, and measures how long delivery takes."""

    def __init__(self, figures: Callable[[], OutboxFigures], clock: Clock) -> None:
        self._figures = figures
        self._clock = clock
        self._deliveries = Histogram(
            "rt_outbox_delivery_seconds",
            "From the end of an answer until the store, or the queue before it, had it from the outbox.",
            (),
            _DELIVERY_SECONDS,
        )
        self._delivered = self._deliveries.series()

    def observe_delivered(self, interactions: Sequence[Interaction]) -> None:
        """Take note of interactions that have just been delivered."""
        now_seconds = self._clock.now_milliseconds() / 1000
        for one in interactions:
            answered_seconds = milliseconds_of(one.id) / 1000 + one.latency_seconds
            self._delivered.observe(max(0.0, now_seconds - answered_seconds))

    def collect(self) -> Iterable[Metric]:
        now = self._figures()
        for name, meaning, value in (
            ("rt_outbox_rows", "Interactions this process has still to deliver.", now.rows),
            ("rt_outbox_bytes", "Their size.", now.size_bytes),
            ("rt_outbox_fill_ratio", "How much of what it may hold is used.", now.fill_ratio),
            ("rt_outbox_lag_seconds", "The age of the oldest of this host.", now.lag_seconds),
            (
                "rt_outbox_set_aside_rows",
                "Interactions the store refuses, kept here until the next start tries them again.",
                now.set_aside_rows,
            ),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)
        yield CounterMetricFamily(
            "rt_outbox_relay_failures",
            "How often what delivers them failed unexpectedly, and was begun again.",
            value=now.relay_failures,
        )
        yield from self._deliveries.collect()

"""Metrics of the outbox: rows waiting for delivery, and the time until they are delivered."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.entities.interaction import Interaction, milliseconds_of
from domain.interfaces.clock import Clock
from infra.telemetry.metrics.histogram import Histogram

_DELIVERY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0)


class MeasuredRows(Protocol):
    """Some rows of an outbox."""

    @property
    def rows(self) -> int: ...


class MeasuredBacklog(MeasuredRows, Protocol):
    """The rows to be delivered, with their size."""

    @property
    def size_bytes(self) -> int: ...


class MeasuredOutbox(Protocol):
    """The part of an outbox that the metrics read."""

    def backlog(self) -> MeasuredBacklog: ...
    def set_aside(self) -> MeasuredRows: ...
    def fill_ratio(self) -> float: ...
    def lag_seconds(self) -> float: ...
    def relay_failures(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSnapshot:
    """The state of an outbox at one moment.

    Attributes:
        rows: Interactions to be delivered.
        size_bytes: Size of these.
        fill_ratio: Used share of the capacity; at 1.0 no more interactions are accepted.
        lag_seconds: Age of the oldest interaction of this host.
        relay_failures: Unexpected failures of the relay since start.
        set_aside_rows: Interactions that the store rejects; they stay in the outbox and are retried at the next start.
    """

    rows: int
    size_bytes: int
    fill_ratio: float
    lag_seconds: float
    relay_failures: int
    set_aside_rows: int = 0

    @classmethod
    def from_outbox(cls, outbox: MeasuredOutbox) -> Self:
        """Return the current state of `outbox`."""
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
    """Reads the state of the outbox on each scrape, and measures the time until delivery."""

    def __init__(self, snapshot: Callable[[], OutboxSnapshot], clock: Clock) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._deliveries = Histogram(
            "rt_outbox_delivery_seconds",
            "Time from the end of an answer until the outbox delivered it to the store or its queue.",
            (),
            _DELIVERY_SECONDS,
        )
        self._delivered = self._deliveries.series()

    def observe_delivered(self, interactions: Sequence[Interaction]) -> None:
        """Record interactions that were just delivered."""
        now_seconds = self._clock.now_milliseconds() / 1000
        for interaction in interactions:
            answered_seconds = milliseconds_of(interaction.id) / 1000 + interaction.latency_seconds
            self._delivered.observe(max(0.0, now_seconds - answered_seconds))

    def collect(self) -> Iterable[Metric]:
        now = self._snapshot()
        for name, meaning, value in (
            ("rt_outbox_rows", "Interactions this process has yet to deliver.", now.rows),
            ("rt_outbox_bytes", "Size of these interactions.", now.size_bytes),
            ("rt_outbox_fill_ratio", "Used share of the capacity of the outbox.", now.fill_ratio),
            (
                "rt_outbox_lag_seconds",
                "Age of the oldest undelivered interaction of this host.",
                now.lag_seconds,
            ),
            (
                "rt_outbox_set_aside_rows",
                "Interactions rejected by the store, which are retried at the next start.",
                now.set_aside_rows,
            ),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)
        yield CounterMetricFamily(
            "rt_outbox_relay_failures",
            "Unexpected failures of the relay, after which it was restarted.",
            value=now.relay_failures,
        )
        yield from self._deliveries.collect()

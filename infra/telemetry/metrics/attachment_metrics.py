"""Metrics of attachments and of the sweeps."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.interfaces.clock import Clock
from domain.interfaces.telemetry import AttachmentObserver


class AttachmentMetrics(AttachmentObserver, Collector):
    """Counts since start; figures of the last sweep are 0 before the first one is complete."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored = 0
        self._stored_bytes = 0
        self._deduplicated = 0
        self._released = 0
        self._failures = 0
        self._last_sweep = (0, 0.0, 0.0)

    def observe_stored(self, size_bytes: int, *, is_new: bool) -> None:
        if is_new:
            self._stored += 1
            self._stored_bytes += size_bytes
        else:
            self._deduplicated += 1

    def observe_sweep(self, *, contents: int, released: int, seconds: float) -> None:
        self._released += released
        self._last_sweep = (contents, seconds, self._clock.now_milliseconds() / 1000)

    def observe_failed_sweep(self) -> None:
        self._failures += 1

    def collect(self) -> Iterable[Metric]:
        for name, meaning, value in (
            ("rt_attachments_stored", "Contents written to the store.", self._stored),
            ("rt_attachments_stored_bytes", "Size of these contents.", self._stored_bytes),
            (
                "rt_attachments_deduplicated",
                "Contents that were not written, since the store had them.",
                self._deduplicated,
            ),
            (
                "rt_attachments_sweep_released",
                "References to attachments that sweeps removed, since their interaction does not exist.",
                self._released,
            ),
            (
                "rt_attachments_sweep_failures",
                "Sweeps that failed because of the store.",
                self._failures,
            ),
        ):
            yield CounterMetricFamily(name, meaning, value=value)
        contents, seconds, ended_seconds = self._last_sweep
        for name, meaning, measured in (
            ("rt_attachments_sweep_contents", "Contents that the last sweep checked.", contents),
            ("rt_attachments_sweep_seconds", "Duration of the last sweep.", seconds),
            (
                "rt_attachments_sweep_success_timestamp_seconds",
                "Time of the last complete sweep, in seconds since 1970 UTC; 0 before the first.",
                ended_seconds,
            ),
        ):
            yield GaugeMetricFamily(name, meaning, value=measured)

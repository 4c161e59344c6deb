"""Lengths of the queue and of the dead letters, read periodically."""

from collections.abc import Awaitable, Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.exceptions import QueueUnavailable

LOOK_SECONDS = 30.0

Count = Callable[[], Awaitable[int]]
"""Returns a number of messages; raises `QueueUnavailable` if the queue does not answer."""


class QueueDepth(Collector):
    """Exports the numbers of the last reading; no number while a queue does not answer, rather than an old one."""

    def __init__(self, messages: Count, dead_letters: Count) -> None:
        self._shown = (
            (
                "rt_queue_messages",
                "Interactions in the queue, those held by a worker included.",
                messages,
            ),
            ("rt_queue_dead_letters", "Interactions that could not be stored.", dead_letters),
        )
        self._found: dict[str, int] = {}

    async def look(self) -> None:
        """Read both numbers, with one request each."""
        for name, _, count in self._shown:
            try:
                self._found[name] = await count()
            except QueueUnavailable:
                self._found.pop(name, None)

    def collect(self) -> Iterable[Metric]:
        for name, meaning, _ in self._shown:
            if name in self._found:
                yield GaugeMetricFamily(name, meaning, value=self._found[name])

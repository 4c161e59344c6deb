"""How much waits in the queue and among the dead letters, asked for now and then."""

from collections.abc import Awaitable, Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.exceptions import QueueUnavailable

LOOK_SECONDS = 30.0

Count = Callable[[], Awaitable[int]]
"""Raises `QueueUnavailable` when the queue does not answer."""


class QueueDepth(Collector):
    """Shows what the last look found; nothing at all while a queue does not answer, rather than an old figure."""

    def __init__(self, messages: Count, dead_letters: Count) -> None:
        self._shown = (
            ("rt_queue_messages", "Interactions in the queue, also in a worker's hands.", messages),
            ("rt_queue_dead_letters", "Interactions that could not be stored.", dead_letters),
        )
        self._found: dict[str, int] = {}

    async def look(self) -> None:
        """Ask both queues; costs a request each."""
        for name, _, count in self._shown:
            try:
                self._found[name] = await count()
            except QueueUnavailable:
                self._found.pop(name, None)

    def collect(self) -> Iterable[Metric]:
        for name, meaning, _ in self._shown:
            if name in self._found:
                yield GaugeMetricFamily(name, meaning, value=self._found[name])

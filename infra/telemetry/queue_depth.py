"""How much waits in the queue and among the dead letters, asked for now and then."""

import logging
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.exceptions import QueueUnavailable
from domain.interfaces.interaction_queue import DeadLetters, InteractionQueue

LOOK_SECONDS = 30.0

_logger = logging.getLogger(__name__)


class QueueDepth(Collector):
    """Shows what the last look found; nothing at all while the queues do not answer, rather than an old figure."""

    def __init__(self, queue: InteractionQueue, dead_letters: DeadLetters) -> None:
        self._counts = {
            (
                "rt_queue_messages",
                "Interactions in the queue, those in a worker's hands included.",
            ): (queue.count),
            ("rt_queue_dead_letters", "Interactions that could not be stored."): dead_letters.count,
        }
        self._found: dict[tuple[str, str], int] = {}

    async def look(self) -> None:
        """Ask both queues; costs a request each."""
        for shown, count in self._counts.items():
            try:
                self._found[shown] = await count()
            except QueueUnavailable:
                self._found.pop(shown, None)
                _logger.debug("%s is not known now", shown[0])

    def collect(self) -> Iterable[Metric]:
        for (name, meaning), found in self._found.items():
            yield GaugeMetricFamily(name, meaning, value=found)

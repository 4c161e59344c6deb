"""Metrics of background answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.interaction import PROVISIONAL, Interaction, Status
from domain.interfaces.telemetry import BackgroundObserver
from domain.use_cases.background.write_answer import CANNOT_CONTINUE, OTHER_MODEL
from infra.telemetry.metrics.chat_metrics import ChatMetrics
from infra.telemetry.metrics.histogram import Histogram

_APPEND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundCounts:
    """Functions that return numbers of this process.

    Attributes:
        running: Answers being generated.
        waiting: Answers of dead processes that it found and has no room for.
        readers: Open streams of events.
        limit: Most answers at a time.
    """

    running: Callable[[], int]
    waiting: Callable[[], int]
    readers: Callable[[], int]
    limit: int


class BackgroundMetrics(BackgroundObserver, Collector):
    """Label values are statuses and fixed reasons, all present from the start: a series that begins with 1 shows no increase."""

    def __init__(self, registry: CollectorRegistry, chats: ChatMetrics) -> None:
        """Add the metrics; outcomes count among those of all `chats`, too."""
        self._chats = chats
        self._counts: BackgroundCounts | None = None
        self._begun = 0
        self._takeovers = 0
        self._ended = {status.value: 0 for status in Status if status not in PROVISIONAL}
        self._restarts = {CANNOT_CONTINUE: 0, OTHER_MODEL: 0}
        appends = Histogram(
            "rt_background_append_seconds",
            "Time until events of a background answer were durable.",
            (),
            _APPEND_SECONDS,
        )
        self._appends = appends.series()
        registry.register(appends)
        registry.register(self)

    def watch(self, counts: BackgroundCounts) -> None:
        """Add the numbers of answers and readers, read on each scrape; call it once."""
        self._counts = counts

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        self._begun += 1

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        self._takeovers += 1

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        self._restarts[reason] = self._restarts.get(reason, 0) + 1

    def records_written(self, *, seconds: float) -> None:
        self._appends.observe(seconds)

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        self._ended[interaction.status.value] += 1
        self._chats.count(interaction.status)

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "rt_background_answers_begun", "Background answers accepted.", value=self._begun
        )
        yield CounterMetricFamily(
            "rt_background_takeovers",
            "Background answers continued for a process that died or stopped.",
            value=self._takeovers,
        )
        yield _labelled(
            "rt_background_answers_ended",
            "Background answers with an outcome, by status in history.",
            "status",
            self._ended,
        )
        yield _labelled(
            "rt_background_restarts",
            "Background answers that were restarted, so that the text that readers saw is void.",
            "reason",
            self._restarts,
        )
        if (counts := self._counts) is None:
            return
        for name, meaning, value in (
            ("rt_background_answers", "Background answers being made.", counts.running()),
            (
                "rt_background_answers_waiting",
                "Background answers of dead processes that this process found and has no room for.",
                counts.waiting(),
            ),
            (
                "rt_background_readers",
                "Open streams of events of background answers.",
                counts.readers(),
            ),
            (
                "rt_background_answers_limit",
                "Maximum number of background answers at a time.",
                counts.limit,
            ),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)


def _labelled(name: str, meaning: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family

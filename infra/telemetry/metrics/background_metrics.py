"""Metrics of background answers."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.interaction import Interaction
from domain.interfaces.telemetry import BackgroundObserver
from infra.telemetry.metrics.chat_metrics import ChatMetrics

_APPEND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundCounts:
    """Functions that return numbers of this process.

    Attributes:
        running: Answers being made.
        waiting: Answers of dead processes that it found and has no room for.
        readers: Open streams of events.
        limit: Most answers at a time.
    """

    running: Callable[[], int]
    waiting: Callable[[], int]
    readers: Callable[[], int]
    limit: int


class BackgroundMetrics(BackgroundObserver):
    """Label values are statuses and fixed reasons."""

    def __init__(self, registry: CollectorRegistry, chats: ChatMetrics) -> None:
        """Add the metrics; outcomes count among those of all `chats`, too."""
        self._registry = registry
        self._chats = chats
        self._begun = Counter(
            "rt_background_answers_begun", "Background answers accepted.", registry=registry
        )
        self._ended = Counter(
            "rt_background_answers_ended",
            "Background answers with an outcome, by status in history.",
            ("status",),
            registry=registry,
        )
        self._takeovers = Counter(
            "rt_background_takeovers",
            "Background answers continued for a process that died or stopped.",
            registry=registry,
        )
        self._restarts = Counter(
            "rt_background_restarts",
            "Background answers that began anew, so that what readers saw is void.",
            ("reason",),
            registry=registry,
        )
        self._appends = Histogram(
            "rt_background_append_seconds",
            "Time until events of a background answer were durable.",
            registry=registry,
            buckets=_APPEND_SECONDS,
        )

    def watch(self, counts: BackgroundCounts) -> None:
        """Add the numbers of answers and readers, read on each scrape; call it once."""
        for name, description, count in (
            ("rt_background_answers", "Background answers being made.", counts.running),
            (
                "rt_background_answers_waiting",
                "Background answers of dead processes that this process found and has no room for.",
                counts.waiting,
            ),
            (
                "rt_background_readers",
                "Open streams of events of background answers.",
                counts.readers,
            ),
        ):
            Gauge(name, description, registry=self._registry).set_function(count)
        Gauge(
            "rt_background_answers_limit",
            "Maximum number of background answers at a time.",
            registry=self._registry,
        ).set(counts.limit)

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        self._begun.inc()

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        self._takeovers.inc()

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        self._restarts.labels(reason).inc()

    def records_written(self, *, seconds: float) -> None:
        self._appends.observe(seconds)

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        self._ended.labels(interaction.status.value).inc()
        self._chats.count(interaction.status)

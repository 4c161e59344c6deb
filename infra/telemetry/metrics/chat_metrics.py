"""Metrics of chats by status, of problems, and of the time until an interaction is durable."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.entities.interaction import PROVISIONAL, Status
from domain.interfaces.telemetry import RequestObserver, RequestOutcome
from infra.telemetry.metrics.histogram import Histogram

_ACCEPT_SECONDS = (*(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),)


class ChatMetrics(RequestObserver, Collector):
    """Label values are statuses, problem slugs and names of limits; never input of a caller."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepts = Histogram(
            "rt_accept_seconds",
            "Time from the end of an answer until it was durable.",
            (),
            _ACCEPT_SECONDS,
        )
        registry.register(self._accepts)
        registry.register(self)
        self._accepted = self._accepts.series()
        self._by_status: dict[Status, int] = dict.fromkeys(
            (status for status in Status if status not in PROVISIONAL), 0
        )
        self._problems: Counter[tuple[str, str, str]] = Counter()
        self._replayed = 0
        self._not_stored = 0

    def observe_request(self, outcome: RequestOutcome) -> None:
        if outcome.problem is not None:
            self._problems[outcome.route, outcome.problem, outcome.limit or ""] += 1
        context = outcome.context
        if context is None:
            return
        if context.is_replayed:
            self._replayed += 1
            return
        if context.interaction is not None and not context.is_background:
            self.count(context.interaction.status)
        if context.history_seconds:
            self._accepted.observe(context.history_seconds)
        if not context.is_stored and outcome.problem is None:
            self._not_stored += 1

    def count(self, status: Status) -> None:
        """Count a chat with its outcome; provisional statuses are not counted."""
        if status in self._by_status:
            self._by_status[status] += 1

    def collect(self) -> Iterable[Metric]:
        chats = CounterMetricFamily("rt_chats", "Chats by status in history.", labels=("status",))
        for status, count in self._by_status.items():
            chats.add_metric((status,), count)
        problems = CounterMetricFamily(
            "rt_problems",
            "Requests that ended with a problem; limit is the exhausted limit of the caller, if any.",
            labels=("http_route", "problem", "limit"),
        )
        for labels, count in self._problems.copy().items():
            problems.add_metric(labels, count)
        return (
            chats,
            problems,
            CounterMetricFamily(
                "rt_idempotent_replays",
                "Chats answered from history, for a repeated Idempotency-Key.",
                value=self._replayed,
            ),
            CounterMetricFamily(
                "rt_chats_not_persisted",
                "Chats that were answered although they could not be stored (HISTORY_MODE=best_effort).",
                value=self._not_stored,
            ),
        )

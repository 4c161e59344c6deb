"""All metrics of the process, in a registry of their own."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector, generate_latest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import Reply
from domain.interfaces.clock import Clock
from domain.interfaces.telemetry import (
    AttachmentObserver,
    AttemptObserver,
    QueueObserver,
    RequestObserver,
    RequestOutcome,
)
from infra.llm.resilience.route_health import RouteHealth
from infra.tasks.supervised import repeating, running_tasks
from infra.telemetry.metrics.attachment_metrics import AttachmentMetrics
from infra.telemetry.metrics.background_metrics import BackgroundMetrics
from infra.telemetry.metrics.chat_metrics import ChatMetrics
from infra.telemetry.metrics.gen_ai_metrics import GenAiMetrics
from infra.telemetry.metrics.http_metrics import HttpMetrics
from infra.telemetry.metrics.outbox_metrics import OutboxMetrics, OutboxSnapshot
from infra.telemetry.metrics.queue_depth import LOOK_SECONDS, Count, QueueDepth
from infra.telemetry.metrics.queue_metrics import QueueMetrics
from infra.telemetry.metrics.route_metrics import RouteMetrics


class Metrics(RequestObserver, AttemptObserver):
    """Observes requests and attempts. Label values come from closed sets, never from a user id or a path."""

    def __init__(self, *, version: str, environment: str) -> None:
        self._registry = CollectorRegistry()
        self._http = HttpMetrics(self._registry)
        self._chats = ChatMetrics(self._registry)
        self._gen_ai = GenAiMetrics(self._registry)
        self._routes = RouteMetrics()
        self._registry.register(self._routes)
        ProcessCollector(registry=self._registry)
        Info("rt_build", "Version and environment.", registry=self._registry).info(
            {"version": version, "environment": environment}
        )

    def observe_request(self, outcome: RequestOutcome) -> None:
        self._http.observe_request(outcome)
        self._chats.observe_request(outcome)

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        self._routes.attempt_started(context, provider, model)

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        self._gen_ai.attempt_ended(context, attempt, first_text_seconds, reply)

    def watch_routes(self, routes: Callable[[], Sequence[RouteHealth]]) -> None:
        """Add metrics of the routes, read from `routes` on each scrape."""
        self._routes.watch(routes)

    def watch_chats_in_flight(self, count: Callable[[], int], *, limit: int) -> None:
        """Add the number of chats in flight, read from `count` on each scrape, and its limit; call it once."""
        Gauge("rt_chats_limit", "Maximum number of concurrent chats.", registry=self._registry).set(
            limit
        )
        Gauge("rt_chats_in_flight", "Chats being answered.", registry=self._registry).set_function(
            count
        )

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Add the number of tasks, read from `count` on each scrape; call it once."""
        Gauge(
            "rt_asyncio_tasks",
            "Tasks of the event loop that are not done.",
            registry=self._registry,
        ).set_function(count)

    def watch_outbox(
        self, snapshot: Callable[[], OutboxSnapshot], clock: Clock
    ) -> Callable[[Sequence[Interaction]], None]:
        """Add metrics of the outbox, read from `snapshot` on each scrape; return the observer of deliveries."""
        outbox = OutboxMetrics(snapshot, clock)
        self._registry.register(outbox)
        return outbox.observe_delivered

    def count_attachments(self, clock: Clock) -> AttachmentObserver:
        """Add metrics of attachments and return their observer; call it once."""
        attachments = AttachmentMetrics(clock)
        self._registry.register(attachments)
        return attachments

    def count_background(self) -> BackgroundMetrics:
        """Add metrics of background answers and return their observer; call it once."""
        return BackgroundMetrics(self._registry, self._chats)

    def count_queue(self) -> QueueObserver:
        """Add metrics of queue messages and return their observer; call it once, in a worker."""
        return QueueMetrics(self._registry)

    @asynccontextmanager
    async def watching_queues(
        self, messages: Count, dead_letters: Count, clock: Clock
    ) -> AsyncIterator[None]:
        """Add the lengths of both queues while the block runs, read twice a minute; use it once, in a worker."""
        depth = QueueDepth(messages, dead_letters)
        self._registry.register(depth)
        async with running_tasks(
            depth.look, repeating(depth.look, seconds=LOOK_SECONDS, clock=clock)
        ):
            yield

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of all metrics."""
        return self._registry

    def render(self) -> bytes:
        """Return all metrics since start, as Prometheus text 0.0.4."""
        return generate_latest(self._registry)

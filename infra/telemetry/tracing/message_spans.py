"""A consumer span for each message that a worker processed, in the trace of the request that sent it."""

import time
from collections.abc import Mapping

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.telemetry import QueueObserver
from infra.telemetry.tracing.propagation import context_of

_NANOSECONDS = 1_000_000_000


class MessageSpans(QueueObserver):
    """Creates each span after the fact, since messages are processed in batches."""

    def __init__(self, tracer: Tracer, queue: str) -> None:
        self._tracer = tracer
        self._queue = queue

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        self._record(delivery, work_seconds, {"rt.queue_lag_seconds": lag_seconds})

    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        self._record(delivery, work_seconds, {"error.type": reason})

    def _record(
        self, delivery: Delivery, work_seconds: float, outcome: Mapping[str, AttributeValue]
    ) -> None:
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "aws_sqs",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._queue,
            "messaging.message.id": delivery.message_id,
            **outcome,
        }
        if delivery.interaction is not None:
            attributes["rt.interaction_id"] = delivery.interaction.id
        now = time.time_ns()
        span = self._tracer.start_span(
            f"process {self._queue}",
            context=context_of(delivery.traceparent),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            start_time=now - round(work_seconds * _NANOSECONDS),
        )
        if "error.type" in outcome:
            span.set_status(StatusCode.ERROR)
        span.end(now)


class BothQueueObservers(QueueObserver):
    """Forwards to two observers."""

    def __init__(self, first: QueueObserver, second: QueueObserver) -> None:
        self._both = (first, second)

    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        for observer in self._both:
            observer.observe_recorded(delivery, lag_seconds=lag_seconds, work_seconds=work_seconds)

    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        for observer in self._both:
            observer.observe_dead_letter(delivery, reason, work_seconds=work_seconds)

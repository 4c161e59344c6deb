"""A span for each append of an interaction, until it is durable."""

from collections.abc import Callable

from opentelemetry import context
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context

from domain.entities.interaction import Interaction
from domain.exceptions import DomainError
from domain.interfaces.history import HistoryWriter


class AcceptSpans(HistoryWriter):
    """Wraps the `append` of another writer in a span. A queue sends the span's traceparent with the message."""

    def __init__(self, inner: HistoryWriter, tracer: Tracer, *, is_queue: bool) -> None:
        self._inner = inner
        self._tracer = tracer
        self._kind = SpanKind.PRODUCER if is_queue else SpanKind.INTERNAL

    def admit(self) -> None:
        self._inner.admit()

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self._inner.begin(
            interaction_id, user_id, interrupted, lost_after_seconds=lost_after_seconds
        )

    async def append(self, interaction: Interaction) -> None:
        attributes = {
            "rt.interaction_id": interaction.id,
            "rt.status": interaction.status.value,
        }
        span = self._tracer.start_span("accept", kind=self._kind, attributes=attributes)
        token = context.attach(set_span_in_context(span))
        try:
            await self._inner.append(interaction)
        except BaseException as error:
            kind = error.code if isinstance(error, DomainError) else type(error).__qualname__
            span.set_attribute("error.type", kind)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            context.detach(token)
            span.end()

"""A span for each background answer and process that generates it, in the trace of the request that began it."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.trace import StatusCode, Tracer, get_current_span, set_span_in_context

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.interaction import Interaction
from domain.interfaces.telemetry import BackgroundObserver
from infra.telemetry.tracing.propagation import context_of


class AnswerSpans(BackgroundObserver):
    """Calls of providers and the accept of the outcome are children of the span.

    The span of a process that was killed is lost; that of the process which takes over has the same parent.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def making(self, answer: BackgroundAnswer) -> Iterator[None]:
        span = self._tracer.start_span(
            "answer",
            context=context_of(answer.traceparent or ""),
            attributes={"rt.interaction_id": answer.interaction.id, "rt.taken_over": False},
        )
        token = context.attach(set_span_in_context(span))
        try:
            yield
        finally:
            context.detach(token)
            span.end()

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        """Add nothing: the span begins in `making`."""

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        get_current_span().set_attribute("rt.taken_over", True)

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        get_current_span().add_event("restart", {"rt.reason": reason})

    def records_written(self, *, seconds: float) -> None:
        """Add nothing: there are many."""

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        span = get_current_span()
        span.set_attribute("rt.status", interaction.status.value)
        span.set_attribute("rt.attempts", len(interaction.attempts))
        if interaction.error is not None:
            span.set_attribute("error.type", interaction.error)
            span.set_status(StatusCode.ERROR)

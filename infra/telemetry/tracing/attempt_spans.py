"""A client span for each provider call, with OpenTelemetry's attributes for generative AI; no prompts, no answers."""

from contextvars import ContextVar
from types import SimpleNamespace

import aiohttp
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from domain.entities.chat_request_context import ChatRequestContext, Operation
from domain.entities.interaction import Attempt
from domain.entities.reply import Reply
from domain.exceptions import ContentBlocked
from domain.interfaces.telemetry import CANCELLED, OK, AttemptObserver
from infra.telemetry.metrics.provider_names import open_telemetry_name
from infra.telemetry.tracing.propagation import HEADER, traceparent_of

_NO_FAULT = frozenset({OK, CANCELLED, ContentBlocked.outcome})


class AttemptSpans(AttemptObserver):
    """Attempts of one request run one after another, so the current span is found by the id of the request."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._under_way: dict[str, Span] = {}
        self._latest: ContextVar[Span | None] = ContextVar("latest attempt", default=None)

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        span = self._tracer.start_span(
            f"{context.operation.value} {model}",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": context.operation.value,
                "gen_ai.provider.name": open_telemetry_name(provider),
                "gen_ai.request.model": context.model,
                "gen_ai.response.model": model,
                "rt.attempt": len(context.attempts) + 1,
            },
        )
        if context.operation is Operation.CHAT:
            span.set_attribute("gen_ai.request.stream", True)
            span.set_attribute("rt.interaction_id", context.id)
        self._under_way[context.id] = span
        # Every request has a context of its own.
        self._latest.set(span)

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        span = self._under_way.pop(context.id, None)
        if span is None:
            return
        if first_text_seconds is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", first_text_seconds)
        if attempt.http_status is not None:
            span.set_attribute("http.response.status_code", attempt.http_status)
        if reply is not None and context.operation is Operation.CHAT:
            span.set_attribute("gen_ai.response.finish_reasons", (reply.finish_reason.value,))
        if (usage := attempt.usage) is not None:
            if usage.input_tokens is not None:
                span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
            if usage.output_tokens is not None:
                span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        if attempt.outcome != OK:
            span.set_attribute("error.type", attempt.outcome)
        if attempt.outcome not in _NO_FAULT:
            span.set_status(StatusCode.ERROR)
        span.end()

    def trace_config(self) -> aiohttp.TraceConfig:
        """Return a configuration that adds the traceparent of the current attempt to a session's requests."""

        async def name(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            request: aiohttp.TraceRequestStartParams,
        ) -> None:
            span = self._latest.get()
            if span is not None and (traceparent := traceparent_of(span)) is not None:
                request.headers[HEADER] = traceparent

        config = aiohttp.TraceConfig()
        config.on_request_start.append(name)
        return config


class BothAttempts(AttemptObserver):
    """Forwards to two observers."""

    def __init__(self, first: AttemptObserver, second: AttemptObserver) -> None:
        self._both = (first, second)

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        for observer in self._both:
            observer.attempt_started(context, provider, model)

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        for observer in self._both:
            observer.attempt_ended(context, attempt, first_text_seconds, reply)

"""Durations and tokens of provider calls, with OpenTelemetry's names and bounds for generative AI."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from domain.entities.chat_request_context import ChatRequestContext, Operation
from domain.entities.interaction import Attempt
from domain.entities.reply import Reply
from domain.interfaces.telemetry import OK, AttemptObserver
from infra.telemetry.metrics.histogram import Histogram, Series
from infra.telemetry.metrics.provider_names import open_telemetry_name

_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(float(4**power) for power in range(14))
_LABELS = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
)


@dataclass(slots=True)
class _Route:
    """The series of one requested model and one model that was called for it."""

    labels: tuple[str, ...]
    first_chunks: Series
    input_tokens: Series
    output_tokens: Series
    cached_input_tokens: Series
    durations: dict[str, Series] = field(default_factory=dict)


class GenAiMetrics(AttemptObserver):
    """Four histograms. The request model is the one the client requested, the response model the one called."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Duration of provider calls; error_type is empty for successful ones.",
            (*_LABELS, "error_type"),
            _SECONDS,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Reported tokens, also of failed calls; output includes reasoning.",
            (*_LABELS, "gen_ai_token_type"),
            _TOKENS,
        )
        self._first_chunks = Histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time from the start of a provider call to the first text of its answer.",
            _LABELS,
            _SECONDS,
        )
        # not a type of gen_ai_client_token_usage, whose types are summed: cached input is a part of input
        self._cached_tokens = Histogram(
            "rt_cached_input_tokens",
            "Input tokens that providers read from their caches, of calls for which they reported it.",
            _LABELS,
            _TOKENS,
        )
        for histogram in (self._durations, self._tokens, self._first_chunks, self._cached_tokens):
            registry.register(histogram)
        self._routes: dict[tuple[Operation, str, str, str], _Route] = {}

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        """No-op: calls are measured at their end."""

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        key = (context.operation, attempt.provider, context.model, attempt.model)
        route = self._routes.get(key) or self._open(*key)
        duration = route.durations.get(attempt.outcome)
        if duration is None:
            error_type = "" if attempt.outcome == OK else attempt.outcome
            duration = self._durations.series(*route.labels, error_type)
            route.durations[attempt.outcome] = duration
        duration.observe(attempt.seconds)
        if first_text_seconds is not None:
            route.first_chunks.observe(first_text_seconds)
        usage = attempt.usage
        if usage is None:
            return
        if usage.input_tokens is not None:
            route.input_tokens.observe(usage.input_tokens)
        if usage.output_tokens is not None:
            route.output_tokens.observe(usage.output_tokens)
        if usage.cached_input_tokens is not None:
            route.cached_input_tokens.observe(usage.cached_input_tokens)

    def _open(
        self, operation: Operation, provider: str, requested_model: str, model: str
    ) -> _Route:
        labels = (operation.value, open_telemetry_name(provider), requested_model, model)
        route = self._routes[operation, provider, requested_model, model] = _Route(
            labels=labels,
            first_chunks=self._first_chunks.series(*labels),
            input_tokens=self._tokens.series(*labels, "input"),
            output_tokens=self._tokens.series(*labels, "output"),
            cached_input_tokens=self._cached_tokens.series(*labels),
        )
        return route

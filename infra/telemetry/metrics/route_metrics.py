"""Metrics of routes: state, retries, fallbacks, and calls in flight."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.reply import Reply
from domain.interfaces.telemetry import AttemptObserver
from infra.llm.resilience.route_health import RouteHealth, RouteState

_ROUTE = ("provider", "model")


class RouteMetrics(AttemptObserver, Collector):
    """Reads the state of every route on each scrape, and counts retries and fallbacks.

    Providers and models have their names of the catalogue, as in `/health/ready` and in attempts.
    """

    def __init__(self) -> None:
        self._routes: Callable[[], Sequence[RouteHealth]] = tuple
        self._retries: Counter[tuple[str, str]] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()

    def watch(self, routes: Callable[[], Sequence[RouteHealth]]) -> None:
        """Read the routes from `routes` on each scrape; before this call there are none."""
        self._routes = routes

    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        if not context.attempts and model == (context.preferred_model or context.model):
            return
        if any((call.provider, call.model) == (provider, model) for call in context.attempts):
            self._retries[provider, model] += 1
        else:
            self._fallbacks[provider, model] += 1

    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        """No-op: retries and fallbacks are counted at their start."""

    def collect(self) -> Iterable[Metric]:
        states = GaugeMetricFamily(
            "rt_route_state",
            "1 for the state a route is in, 0 for the others.",
            labels=(*_ROUTE, "state"),
        )
        closed = GaugeMetricFamily(
            "rt_route_closed_seconds",
            "Time until a closed route accepts calls again: its circuit is open, or it is in a cooldown.",
            labels=_ROUTE,
        )
        tokens = GaugeMetricFamily(
            "rt_route_retry_tokens", "Remaining retry budget of a route.", labels=_ROUTE
        )
        retries = CounterMetricFamily(
            "rt_route_retries",
            "Calls of a route that had been called for the same request.",
            labels=_ROUTE,
        )
        fallbacks = CounterMetricFamily(
            "rt_route_fallbacks",
            "Calls of a route other than the requested one.",
            labels=_ROUTE,
        )
        providers: dict[str, RouteHealth] = {}
        for route in self._routes():
            labels = (route.provider, route.model)
            for state in RouteState:
                states.add_metric((*labels, state), route.state is state)
            closure = route.closure
            closed.add_metric(labels, closure.retry_after_seconds if closure else 0.0)
            tokens.add_metric(labels, route.retry_tokens)
            retries.add_metric(labels, self._retries[labels])
            fallbacks.add_metric(labels, self._fallbacks[labels])
            providers[route.provider] = route
        calls = GaugeMetricFamily(
            "rt_provider_calls_in_flight",
            "Calls of a provider in flight, for all its models.",
            labels=("provider",),
        )
        refused = CounterMetricFamily(
            "rt_provider_calls_refused",
            "Calls that were not made because the provider was at its limit of concurrent calls.",
            labels=("provider",),
        )
        for provider, route in providers.items():
            calls.add_metric((provider,), route.in_flight)
            refused.add_metric((provider,), route.refused)
        return (states, closed, tokens, retries, fallbacks, calls, refused)

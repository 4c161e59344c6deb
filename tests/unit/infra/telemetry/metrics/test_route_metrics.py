"""What the metrics show of routes: their state now, and how often one stood in for another."""

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from infra.llm.resilience.route_health import RouteClosure, RouteHealth, RouteState
from infra.telemetry.metrics.metrics import Metrics
from tests.fakes.chat_contexts import a_chat_context
from tests.support.metric_samples import labels, samples

FLASH = {"provider": "gemini", "model": "flash"}
MINI = {"provider": "openrouter", "model": "mini"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", environment="test")


def a_route(
    state: RouteState = RouteState.HEALTHY,
    *,
    in_flight: int = 0,
    refused: int = 0,
    seconds: float = 0.0,
) -> RouteHealth:
    closure = None
    if state is not RouteState.HEALTHY:
        closure = RouteClosure(state=state, since_milliseconds=0, retry_after_seconds=seconds)
    return RouteHealth(
        provider="gemini",
        model="flash",
        closure=closure,
        in_flight=in_flight,
        refused=refused,
        retry_tokens=85,
    )


def a_turn_of(*earlier: tuple[str, str]) -> ChatRequestContext:
    context = a_chat_context()
    context.model = "flash"
    context.attempts += [
        Attempt(provider=provider, model=model, outcome="unavailable", seconds=0.1)
        for provider, model in earlier
    ]
    return context


@pytest.mark.parametrize("state", RouteState)
def test_a_route_is_in_one_state(metrics: Metrics, state: RouteState) -> None:
    metrics.watch_routes(lambda: [a_route(state)])
    shown = samples(metrics, "rt_route_state")
    assert shown == {labels(**FLASH, state=each): float(each is state) for each in RouteState}


def test_the_state_is_that_of_the_moment(metrics: Metrics) -> None:
    routes = [a_route(in_flight=3, refused=7)]
    metrics.watch_routes(lambda: routes)
    assert samples(metrics, "rt_route_closed_seconds") == {labels(**FLASH): 0.0}
    assert samples(metrics, "rt_provider_calls_in_flight") == {labels(provider="gemini"): 3.0}
    assert samples(metrics, "rt_provider_calls_refused_total") == {labels(provider="gemini"): 7.0}
    assert samples(metrics, "rt_route_retry_tokens") == {labels(**FLASH): 85.0}
    routes[0] = a_route(RouteState.COOLING, seconds=12.5)
    assert samples(metrics, "rt_route_closed_seconds") == {labels(**FLASH): 12.5}
    assert samples(metrics, "rt_provider_calls_in_flight") == {labels(provider="gemini"): 0.0}


def test_a_first_call_is_neither_retry_nor_fallback(metrics: Metrics) -> None:
    metrics.watch_routes(lambda: [a_route()])
    metrics.attempt_started(a_turn_of(), "gemini", "flash")
    assert samples(metrics, "rt_route_retries_total") == {labels(**FLASH): 0.0}
    assert samples(metrics, "rt_route_fallbacks_total") == {labels(**FLASH): 0.0}


def test_the_first_choice_among_routes_that_share_requests_is_no_fallback(
    metrics: Metrics,
) -> None:
    metrics.watch_routes(lambda: [a_route()])
    context = a_turn_of()
    context.model, context.preferred_model = "shared", "flash"
    metrics.attempt_started(context, "gemini", "flash")
    assert samples(metrics, "rt_route_fallbacks_total") == {labels(**FLASH): 0.0}


def test_a_second_call_of_a_route_is_a_retry(metrics: Metrics) -> None:
    metrics.watch_routes(lambda: [a_route()])
    metrics.attempt_started(a_turn_of(("gemini", "flash")), "gemini", "flash")
    assert samples(metrics, "rt_route_retries_total") == {labels(**FLASH): 1.0}
    assert samples(metrics, "rt_route_fallbacks_total") == {labels(**FLASH): 0.0}


@pytest.mark.parametrize("earlier", [[], [("gemini", "flash")]])
def test_a_call_of_another_model_is_a_fallback(
    metrics: Metrics, earlier: list[tuple[str, str]]
) -> None:
    mini = RouteHealth(
        provider="openrouter", model="mini", closure=None, in_flight=0, retry_tokens=100
    )
    metrics.watch_routes(lambda: [a_route(), mini])
    metrics.attempt_started(a_turn_of(*earlier), "openrouter", "mini")
    metrics.attempt_started(a_turn_of(*earlier, ("openrouter", "mini")), "openrouter", "mini")
    fallbacks = samples(metrics, "rt_route_fallbacks_total")
    assert fallbacks == {labels(**FLASH): 0.0, labels(**MINI): 1.0}
    assert samples(metrics, "rt_route_retries_total") == {labels(**FLASH): 0.0, labels(**MINI): 1.0}


def test_before_there_are_routes_nothing_is_shown(metrics: Metrics) -> None:
    assert samples(metrics, "rt_route_state") == {}

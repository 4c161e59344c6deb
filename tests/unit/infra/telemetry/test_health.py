"""Readiness depends on the routes that answer chats."""

import pytest

from infra.llm.resilience.route_health import RouteClosure, RouteHealth, RouteState
from infra.telemetry.health import ServiceHealth
from tests.fakes.history import InMemoryHistory


def a_route(state: RouteState, *, computes_embeddings: bool = False) -> RouteHealth:
    closure = None
    if state is not RouteState.HEALTHY:
        closure = RouteClosure(state=state, since_milliseconds=0, retry_after_seconds=0.0)
    return RouteHealth(
        provider="openai",
        model="small" if computes_embeddings else "mini",
        closure=closure,
        in_flight=0,
        retry_tokens=100,
        computes_embeddings=computes_embeddings,
    )


@pytest.mark.parametrize("state", RouteState)
def test_it_is_not_ready_while_every_chat_route_is_misconfigured(state: RouteState) -> None:
    routes = [
        a_route(RouteState.MISCONFIGURED),
        a_route(state),
        a_route(RouteState.HEALTHY, computes_embeddings=True),
    ]
    health = ServiceHealth(InMemoryHistory(), lambda: routes)
    assert health.is_ready() is (state is not RouteState.MISCONFIGURED)


@pytest.mark.parametrize("state", RouteState)
def test_without_chat_routes_those_for_embeddings_count(state: RouteState) -> None:
    health = ServiceHealth(InMemoryHistory(), lambda: [a_route(state, computes_embeddings=True)])
    assert health.is_ready() is (state is not RouteState.MISCONFIGURED)


def test_it_is_not_ready_while_nothing_can_be_stored() -> None:
    history = InMemoryHistory()
    health = ServiceHealth(history, lambda: [a_route(RouteState.HEALTHY)])
    assert health.is_ready()
    history.is_full = True
    assert not health.is_ready()

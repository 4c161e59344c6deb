"""Readiness and degraded components."""

from collections.abc import Callable, Sequence

from domain.exceptions import HistoryUnavailable
from domain.interfaces.health import Degraded, Health
from domain.interfaces.history import HistoryWriter
from infra.llm.resilience.route_health import RouteHealth, RouteState


class ServiceHealth(Health):
    """Ready when interactions can be stored and at least one chat route is not permanently misconfigured.

    Routes of embeddings models count only if there are no others.
    An unavailable store or provider only counts as degraded: it may recover or be replaced by a fallback, and it
    affects all instances, so removing them from a load balancer would not help.
    """

    def __init__(
        self,
        history: HistoryWriter,
        routes: Callable[[], Sequence[RouteHealth]],
        stores: Callable[[], Sequence[Degraded]] = tuple,
    ) -> None:
        """Create the health check.

        Args:
            history: Its `admit` decides whether interactions can be stored.
            routes: Returns the state of every route.
            stores: Returns the unavailable stores and queues.
        """
        self._history = history
        self._routes = routes
        self._stores = stores

    def is_ready(self) -> bool:
        try:
            self._history.admit()
        except HistoryUnavailable:
            return False
        routes = self._routes()
        chat_routes = [route for route in routes if not route.computes_embeddings]
        return any(route.state is not RouteState.MISCONFIGURED for route in chat_routes or routes)

    def degraded(self) -> Sequence[Degraded]:
        return [*self._closed_routes(), *self._stores()]

    def _closed_routes(self) -> list[Degraded]:
        return [
            Degraded(
                component=f"route {route.provider} {route.model}",
                reason=route.state.value.replace("_", " "),
                since_milliseconds=route.closure.since_milliseconds,
            )
            for route in self._routes()
            if route.closure is not None
        ]

"""Readiness, and what is degraded."""

from collections.abc import Callable, Sequence

from domain.exceptions import HistoryUnavailable
from domain.interfaces.health import Degraded, Health
from domain.interfaces.history import HistoryWriter
from infra.llm.resilience.route_health import RouteHealth, RouteState


class ServiceHealth(Health):
    """Ready when interactions can be kept and at least one route is not misconfigured for good.

    A store or a provider that is away is degraded: others, or the same a moment later, may still answer, and
    taking every instance out of a load balancer would help nobody.
    """

    def __init__(
        self,
        history: HistoryWriter,
        routes: Callable[[], Sequence[RouteHealth]],
        stores: Callable[[], Sequence[Degraded]] = tuple,
    ) -> None:
        """Ask these whenever somebody wants to know.

        Args:
            history: Whose `admit` tells whether anything can be kept.
            routes: Returns the state of every route.
            stores: Returns which stores and queues are away.
        """
        self._history = history
        self._routes = routes
        self._stores = stores

    def is_ready(self) -> bool:
        try:
            self._history.admit()
        except HistoryUnavailable:
            return False
        return any(route.state is not RouteState.MISCONFIGURED for route in self._routes())

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

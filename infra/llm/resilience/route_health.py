"""What can be told of a route to whoever watches over the service."""

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RouteState(StrEnum):
    """Whether a route takes calls."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    HALF_OPEN = "half_open"
    OPEN = "open"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteClosure:
    """Why a route does not let every call through.

    Attributes:
        since_milliseconds: When that began, in milliseconds since 1970 UTC.
        retry_after_seconds: When the next call may be let through; 0 is now.
    """

    state: RouteState
    since_milliseconds: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHealth:
    """One route at this moment.

    Attributes:
        closure: Why it does not let every call through; None when it does.
        in_flight: Calls on their way to the provider, those of its other models included.
        refused: Calls that the provider's full bulkhead refused since the start, those of its other models included.
        retry_tokens: What is left of the route's retry budget.
    """

    provider: str
    model: str
    closure: RouteClosure | None
    in_flight: int
    refused: int = 0
    retry_tokens: int

    @property
    def state(self) -> RouteState:
        """Whether it takes calls."""
        return self.closure.state if self.closure else RouteState.HEALTHY


class RouteBreaker(Protocol):
    """What may refuse a call before it is made."""

    @abstractmethod
    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be tried."""
        ...

    @abstractmethod
    def closure(self) -> RouteClosure | None:
        """Return why not every call is let through; None when every one is."""
        ...

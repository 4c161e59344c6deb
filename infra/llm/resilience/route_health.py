"""The state of a route, for metrics and health checks."""

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
    """Why a route does not admit every call.

    Attributes:
        since_milliseconds: Start, in milliseconds since 1970 UTC.
        retry_after_seconds: Until the next call may be admitted; 0 is now.
    """

    state: RouteState
    since_milliseconds: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHealth:
    """The current state of one route.

    Attributes:
        closure: Why it does not admit every call; None when it does.
        in_flight: Calls in flight to the provider, those of its other models included.
        refused: Calls refused by the provider's concurrency limit since the start, those of its other models included.
        retry_tokens: Remaining tokens of the route's retry budget.
        computes_embeddings: It computes embeddings, and answers no chats.
    """

    provider: str
    model: str
    closure: RouteClosure | None
    in_flight: int
    refused: int = 0
    retry_tokens: int
    computes_embeddings: bool = False

    @property
    def state(self) -> RouteState:
        """Whether it takes calls."""
        return self.closure.state if self.closure else RouteState.HEALTHY


class RouteBreaker(Protocol):
    """Refuses calls of a route before they are made."""

    @abstractmethod
    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be made."""
        ...

    @abstractmethod
    def closure(self) -> RouteClosure | None:
        """Return why not every call is admitted; None when every one is."""
        ...

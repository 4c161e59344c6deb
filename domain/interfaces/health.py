"""Port for readiness and degraded components."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """A component that does not work while the service keeps running.

    Attributes:
        since_milliseconds: Start of the problem, in milliseconds since 1970 UTC.
    """

    component: str
    reason: str
    since_milliseconds: int


class Health(Protocol):
    """Health of the service, from state already in memory: no method waits."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether a chat started now can be answered and stored."""
        ...

    @abstractmethod
    def degraded(self) -> Sequence[Degraded]:
        """Return the components that do not work."""
        ...

"""How the service is."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """A part that does not work as it should, while the service goes on.

    Attributes:
        since_milliseconds: When that began, in milliseconds since 1970 UTC.
    """

    component: str
    reason: str
    since_milliseconds: int


class Health(Protocol):
    """Tells whether requests can be served; both answers come at once, from what is known already."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether a chat asked now could be answered and kept."""
        ...

    @abstractmethod
    def degraded(self) -> Sequence[Degraded]:
        """Return what does not work as it should."""
        ...

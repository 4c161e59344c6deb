"""Where a copy notes how far it is."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.copy_progress import CopyProgress


class CopyState(Protocol):
    """Remembers one copy across interruptions, however hard."""

    @abstractmethod
    def load(self) -> CopyProgress | None:
        """Return how far an earlier run of the same copy came; None where it is to start at the beginning."""
        ...

    @abstractmethod
    def save(self, progress: CopyProgress) -> None:
        """Note how far it is; never raises, since a copy that starts again is right, only slower."""
        ...

    @abstractmethod
    def clear(self) -> None:
        """Forget it: the next run starts at the beginning."""
        ...

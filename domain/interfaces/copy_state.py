"""Port for the checkpoint of a copy."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.copy_progress import CopyProgress


class CopyState(Protocol):
    """Stores the progress of one copy, so that it can resume after a crash."""

    @abstractmethod
    def load(self) -> CopyProgress | None:
        """Return the progress of an earlier run of the same copy; None to start at the beginning."""
        ...

    @abstractmethod
    def save(self, progress: CopyProgress) -> None:
        """Store the progress. Does not raise: a copy that starts again is correct, only slower."""
        ...

    @abstractmethod
    def clear(self) -> None:
        """Delete the progress; the next run starts at the beginning."""
        ...

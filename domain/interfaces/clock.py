"""Port for time, which tests replace by a fake."""

from abc import abstractmethod
from typing import Protocol


class Clock(Protocol):
    """Reads the time, and sleeps."""

    @abstractmethod
    def now_milliseconds(self) -> int:
        """Return milliseconds since 1970 UTC; may jump when the system clock is set."""
        ...

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds that never decrease; for durations and deadlines."""
        ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        ...

"""Time, so that tests may own it."""

from abc import abstractmethod
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    @abstractmethod
    def now_milliseconds(self) -> int:
        """Return milliseconds since 1970 UTC; may jump when the host's clock is set."""
        ...

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds that only ever grow; for durations and deadlines."""
        ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        ...

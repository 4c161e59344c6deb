"""A point on the monotonic clock by which work has to end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """One moment shared by all attempts, so that waits never add up.

    Attributes:
        at_seconds: Monotonic time, as `Clock.monotonic` counts.
    """

    at_seconds: float

    def remaining_seconds(self, now_seconds: float) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at_seconds - now_seconds

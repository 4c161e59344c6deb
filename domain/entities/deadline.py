"""Deadlines on the monotonic clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time shared by all attempts of a request, so that their timeouts do not add up.

    Attributes:
        at_seconds: Monotonic time, as of `Clock.monotonic`.
    """

    at_seconds: float

    def remaining_seconds(self, now_seconds: float) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at_seconds - now_seconds

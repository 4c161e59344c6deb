"""What is known of the store behind an outbox, without asking it."""

from collections.abc import Iterator
from contextlib import contextmanager

from domain.exceptions import HistoryError
from domain.interfaces.clock import Clock

TRUSTED_SECONDS = 5.0
"""How long a failure is believed: after it, somebody asks the store again."""


class StoreStatus:
    """Remembers whether the last call of the store worked.

    Attributes:
        away_since_milliseconds: Of the first failure since it last worked, since 1970 UTC; None while it works.
    """

    def __init__(self, clock: Clock) -> None:
        self.away_since_milliseconds: int | None = None
        self._clock = clock
        self._failed_seconds = 0.0

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Note whether what is asked of the store within works."""
        try:
            yield
        except HistoryError:
            self.note_failure()
            raise
        else:
            self.note_success()

    def note_success(self) -> None:
        """Note that the store answered."""
        self.away_since_milliseconds = None

    def note_failure(self) -> None:
        """Note that it did not."""
        self._failed_seconds = self._clock.monotonic()
        if self.away_since_milliseconds is None:
            self.away_since_milliseconds = self._clock.now_milliseconds()

    def is_away(self) -> bool:
        """Return whether asking it now would most likely be waiting for nothing."""
        if self.away_since_milliseconds is None:
            return False
        return self._clock.monotonic() - self._failed_seconds < TRUSTED_SECONDS

"""The last known state of the store behind an outbox."""

from collections.abc import Iterator
from contextlib import contextmanager

from domain.exceptions import HistoryDamaged, HistoryError
from domain.interfaces.clock import Clock

TRUSTED_SECONDS = 5.0
"""Time for which the store counts as unavailable after a failure, before the next read tries it again."""


class StoreStatus:
    """Records whether the last call of the store succeeded.

    Attributes:
        away_since_milliseconds: First failure since the last success, since 1970 UTC; None while calls succeed.
    """

    def __init__(self, clock: Clock) -> None:
        self.away_since_milliseconds: int | None = None
        self._clock = clock
        self._failed_seconds = 0.0

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Record whether the calls of the store in the block succeed."""
        try:
            yield
        except HistoryDamaged:  # the store answered; only what was asked for cannot be read
            self.note_success()
            raise
        except HistoryError:
            self.note_failure()
            raise
        else:
            self.note_success()

    def note_success(self) -> None:
        """Record that the store answered."""
        self.away_since_milliseconds = None

    def note_failure(self) -> None:
        """Record that the store did not answer."""
        self._failed_seconds = self._clock.monotonic()
        if self.away_since_milliseconds is None:
            self.away_since_milliseconds = self._clock.now_milliseconds()

    def is_away(self) -> bool:
        """Return whether a call now is expected to fail."""
        if self.away_since_milliseconds is None:
            return False
        return self._clock.monotonic() - self._failed_seconds < TRUSTED_SECONDS

"""Calls of the store of the counters, with pauses while it is unavailable."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.interfaces.clock import Clock
from infra.limits.counters import CountersUnavailable

PAUSE_SECONDS = 2.0
"""Time without calls after a failed one; then a single call tries whether the store is back."""

T = TypeVar("T")
_logger = logging.getLogger(__name__)


class StoreCalls:
    """Calls the store unless a recent call failed, so that few requests wait for a store that does not respond."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_away = False
        self._resumed_seconds = 0.0

    @property
    def are_paused(self) -> bool:
        """Return whether a call would fail without being made."""
        return self._is_away and self._clock.monotonic() < self._resumed_seconds

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call.

        Raises:
            CountersUnavailable: It failed, or calls are paused.
        """
        if self.are_paused:
            raise CountersUnavailable
        if self._is_away:
            self._pause()  # the other requests do not wait for this one
        try:
            result = await call()
        except CountersUnavailable as exc:
            if not self._is_away:
                self._is_away = True
                _logger.warning(
                    "the store does not count requests and tokens (%s): this process applies the limits to its own",
                    type(exc.__cause__).__name__,
                )
            self._pause()
            raise
        if self._is_away:
            self._is_away = False
            _logger.info("the store counts requests and tokens of all processes again")
        return result

    def _pause(self) -> None:
        self._resumed_seconds = self._clock.monotonic() + PAUSE_SECONDS

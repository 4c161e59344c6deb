"""The state of a remote service: available or unavailable."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from domain.exceptions import HistoryError
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 4.0


class Reachability:
    """Counts consecutive failures; after `failures` of them the service is unavailable until a background probe succeeds.

    Requests are not used as probes. After a recovery the first failure marks it as unavailable again.
    """

    def __init__(
        self, component: str, probe: Callable[[], Awaitable[object]], clock: Clock, *, failures: int
    ) -> None:
        """Start in the state available.

        Args:
            component: The service's name for operators.
            probe: Calls the service; raises `HistoryError` when it does not answer.
            clock: For pauses.
            failures: Consecutive failures that mark it as unavailable.
        """
        self._component = component
        self._probe = probe
        self._clock = clock
        self._failures_to_leave = failures
        self._failures = 0
        self._since_milliseconds: int | None = None
        self._left = asyncio.Event()

    @property
    def is_away(self) -> bool:
        """Whether calls are expected to fail now."""
        return self._since_milliseconds is not None

    def degraded(self) -> Sequence[Degraded]:
        """Return the degraded component while it is unavailable."""
        since_milliseconds = self._since_milliseconds
        if since_milliseconds is None:
            return ()
        return (
            Degraded(
                component=self._component,
                reason="does not answer",
                since_milliseconds=since_milliseconds,
            ),
        )

    def succeed(self) -> None:
        """Record a successful call."""
        if not self.is_away:
            self._failures = 0
            return
        self._since_milliseconds = None
        self._failures = self._failures_to_leave - 1
        self._left.clear()
        logger.info("%s answers again", self._component)

    def fail(self) -> None:
        """Record a failed call."""
        self._failures += 1
        if self._failures >= self._failures_to_leave:
            self.leave()

    def leave(self) -> None:
        """Mark the service as unavailable, whatever the number of failures."""
        if self.is_away:
            return
        self._since_milliseconds = self._clock.now_milliseconds()
        self._left.set()
        logger.warning("%s does not answer", self._component)

    async def watch(self) -> None:
        """Probe while the service is unavailable; never returns."""
        while True:
            await self._left.wait()
            pause_seconds = FIRST_PAUSE_SECONDS
            while self.is_away:
                await self._clock.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                try:
                    await self._probe()
                except HistoryError:
                    continue
                self.succeed()

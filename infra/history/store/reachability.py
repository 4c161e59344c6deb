"""Whether something behind the network answers."""

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
    """Counts failures in a row; after enough of them it is away, until a probe in the background succeeds.

    So nobody's request is spent on finding out. The first failure after a return is enough to be away again.
    """

    def __init__(
        self, component: str, probe: Callable[[], Awaitable[object]], clock: Clock, *, failures: int
    ) -> None:
        """Watch something that answers, as far as is known.

        Args:
            component: Its name for operators.
            probe: Asks it something; raises `HistoryError` when it does not answer.
            clock: For pauses.
            failures: How many in a row mean that it is away.
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
        """Whether calls made now are expected to fail."""
        return self._since_milliseconds is not None

    def degraded(self) -> Sequence[Degraded]:
        """Return it while it is away."""
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
        """Note that it answered."""
        if not self.is_away:
            self._failures = 0
            return
        self._since_milliseconds = None
        self._failures = self._failures_to_leave - 1
        self._left.clear()
        logger.info("%s answers again", self._component)

    def fail(self) -> None:
        """Note that it did not."""
        self._failures += 1
        if self._failures >= self._failures_to_leave:
            self.leave()

    def leave(self) -> None:
        """Note that it is away, however often it failed."""
        if self.is_away:
            return
        self._since_milliseconds = self._clock.now_milliseconds()
        self._left.set()
        logger.warning("%s does not answer", self._component)

    async def watch(self) -> None:
        """Probe whenever it is away; never returns."""
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

"""A provider that asked for a pause gets it."""

from domain.entities.turn import Turn
from domain.exceptions import LLMRateLimited, LLMUnavailable, NoRoute
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.gate import Gate
from infra.llm.resilience.route_health import Closable, Closure, RouteState


class Cooldown(Gate[None], Closable):
    """Refuses calls until the moment a provider named in its `Retry-After`.

    A rate limit without a delay closes nothing: nobody knows for how long.
    """

    def __init__(self, inner: LLMClient, *, cap_seconds: float, clock: Clock) -> None:
        """Wrap one route.

        Args:
            inner: The route.
            cap_seconds: The longest pause that is believed.
            clock: For the pause.
        """
        super().__init__(inner)
        self._cap_seconds = cap_seconds
        self._clock = clock
        self._until_seconds = 0.0
        self._since_milliseconds = 0

    def enter(self, turn: Turn) -> None:
        # almost always nothing was ever asked for: no need to look at the clock
        if self._until_seconds and (wait_seconds := self.closed_for_seconds()):
            raise NoRoute("cooling down", retry_after_seconds=wait_seconds)

    def fail(self, call: None, turn: Turn, error: BaseException) -> None:
        if not isinstance(error, LLMRateLimited | LLMUnavailable):
            return
        delay_seconds = error.retry_after_seconds
        if delay_seconds is None:
            return
        now_seconds = self._clock.monotonic()
        if self._until_seconds <= now_seconds:
            self._since_milliseconds = self._clock.now_milliseconds()
        # of two delays, the one that ends later
        self._until_seconds = max(
            self._until_seconds, now_seconds + min(delay_seconds, self._cap_seconds)
        )

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when they are let through."""
        if not self._until_seconds:
            return 0.0
        return max(0.0, self._until_seconds - self._clock.monotonic())

    def closure(self) -> Closure | None:
        """Return why calls are refused; None while they are let through."""
        wait_seconds = self.closed_for_seconds()
        if not wait_seconds:
            return None
        return Closure(
            state=RouteState.COOLING,
            since_milliseconds=self._since_milliseconds,
            retry_after_seconds=wait_seconds,
        )

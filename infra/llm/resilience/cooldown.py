"""Pauses calls of a provider after it limited our rate."""

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import Reply
from domain.exceptions import LLMRateLimited, LLMUnavailable, NoRoute
from domain.interfaces.clock import Clock
from infra.llm.resilience.call_hooks import CallHooks
from infra.llm.resilience.route_health import RouteBreaker, RouteClosure, RouteState

_FIRST_SECONDS = 1.0


class Cooldown(CallHooks[int], RouteBreaker):
    """Refuses calls until the moment a provider named in its `Retry-After`.

    A rate limit without a delay pauses calls for a second, and for twice as long each time in a row, up to the cap.
    Refusals of calls that were in flight together count once.
    """

    def __init__(self, *, cap_seconds: float, clock: Clock) -> None:
        """Begin without a pause.

        Args:
            cap_seconds: The longest pause, whether it is requested by the provider or results from doubling.
            clock: For the pause.
        """
        self._cap_seconds = cap_seconds
        self._clock = clock
        self._until_seconds = 0.0
        self._since_milliseconds = 0
        self._rate_limits = 0
        self._next_seconds = _FIRST_SECONDS

    def on_enter(self, context: ChatRequestContext) -> int:
        # avoids reading the clock if there was never a pause
        if self._until_seconds and (wait_seconds := self.closed_for_seconds()):
            raise NoRoute("cooling down", retry_after_seconds=wait_seconds)
        return self._rate_limits

    def on_reply(self, call: int, context: ChatRequestContext, reply: Reply) -> None:
        if call == self._rate_limits:
            self._next_seconds = _FIRST_SECONDS

    def on_error(self, call: int, context: ChatRequestContext, error: BaseException) -> None:
        if not isinstance(error, LLMRateLimited | LLMUnavailable):
            return
        delay_seconds = error.retry_after_seconds
        if delay_seconds is None or delay_seconds <= 0:
            if not isinstance(error, LLMRateLimited) or call != self._rate_limits:
                return
            delay_seconds = self._next_seconds
            self._next_seconds = min(2 * delay_seconds, self._cap_seconds)
            self._rate_limits += 1
        now_seconds = self._clock.monotonic()
        if self._until_seconds <= now_seconds:
            self._since_milliseconds = self._clock.now_milliseconds()
        self._until_seconds = max(
            self._until_seconds, now_seconds + min(delay_seconds, self._cap_seconds)
        )

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when they are admitted."""
        if not self._until_seconds:
            return 0.0
        return max(0.0, self._until_seconds - self._clock.monotonic())

    def closure(self) -> RouteClosure | None:
        """Return why calls are refused; None while they are admitted."""
        wait_seconds = self.closed_for_seconds()
        if not wait_seconds:
            return None
        return RouteClosure(
            state=RouteState.COOLING,
            since_milliseconds=self._since_milliseconds,
            retry_after_seconds=wait_seconds,
        )

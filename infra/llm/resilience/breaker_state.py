"""The state machine of a circuit breaker: closed, open, half-open."""

import logging
from dataclasses import dataclass
from random import Random

from domain.interfaces.clock import Clock
from infra.llm.resilience.failure_window import FailureWindow
from infra.llm.resilience.route_health import RouteBreaker, RouteClosure, RouteState

logger = logging.getLogger(__name__)

# Retry-After for calls refused while a probe is in flight.
_PROBE_WAIT_SECONDS = 1.0

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_HEALTHY = RouteState.HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and for how long.

    Attributes:
        consecutive_failures: Failures in a row that open it. As many refusals in a row that each may concern one call
            only, without an answer between them, count as a refusal of every call.
        first_growth: Factor of the second opening, after a failed probe.
        growth: Factor of each further opening.
        open_cap_seconds: The longest opening.
        jitter: The share by which an opening may be shorter, so that processes do not probe together.
        probe_grace_seconds: A probe without an end counts as lost this long after its own limit.
        misconfigured_seconds: The opening of a route whose provider refuses our key.
    """

    consecutive_failures: int = 5
    failure_ratio: float = 0.5
    minimum_calls: int = 10
    window_seconds: float = 30.0
    open_seconds: float = 10.0
    first_growth: float = 1.2
    growth: float = 1.25
    open_cap_seconds: float = 15.0
    jitter: float = 0.2
    probe_grace_seconds: float = 5.0
    successes_to_close: int = 2
    misconfigured_seconds: float = 300.0


@dataclass(eq=False, slots=True)
class Permit:
    """Permission for one call; pass it back when reporting the result.

    Attributes:
        generation: Of the breaker's state when it was issued. Results of an earlier generation do not count.
    """

    generation: int


class Breaker(RouteBreaker):
    """Closed, it admits every call; open, none; half-open, one probe at a time.

    A probe is a lease: without a result in time, the next probe is admitted. A late result still counts.
    """

    def __init__(self, name: str, policy: BreakerPolicy, clock: Clock, random: Random) -> None:
        """Begin closed.

        Args:
            name: The route, for the log.
            policy: When to open.
            clock: For openings.
            random: For jitter.
        """
        self._name = name
        self._policy = policy
        self._clock = clock
        self._random = random
        self._window = FailureWindow(policy.window_seconds)
        self._state = RouteState.HEALTHY
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._next_open_seconds = policy.open_seconds
        self._growth = policy.first_growth
        self._successes = 0
        self._open_until_seconds = 0.0
        self._since_milliseconds = 0
        self._is_misconfigured = False
        self._permit = Permit(0)
        self._probe: Permit | None = None
        self._probe_until_seconds = 0.0

    @property
    def is_misconfigured(self) -> bool:
        """Whether it is open because the provider refuses our key or does not know the model."""
        return self._is_misconfigured

    def admit(self, attempt_seconds: float) -> Permit | None:
        """Return a permit for a call, or None to refuse it.

        Args:
            attempt_seconds: How long the provider may be silent, if this call is a probe.
        """
        if self._state is _HEALTHY:
            return self._permit
        now_seconds = self._clock.monotonic()
        if self._state is RouteState.OPEN:
            if now_seconds < self._open_until_seconds:
                return None
            self._begin(RouteState.HALF_OPEN)
            self._successes = 0
        elif self._probe is not None and now_seconds < self._probe_until_seconds:
            return None
        self._probe = Permit(self._permit.generation)
        self._probe_until_seconds = now_seconds + attempt_seconds + self._policy.probe_grace_seconds
        return self._probe

    def release(self, permit: Permit) -> None:
        """Release the permit of a call that ended; counts neither for nor against the route."""
        if self._probe is permit:
            self._probe = None

    def succeed(self, permit: Permit) -> None:
        """Record a complete answer."""
        self.release(permit)
        if permit.generation != self._permit.generation:
            return
        self._consecutive_refusals = 0
        if self._state is _HEALTHY:
            self._consecutive_failures = 0
            self._window.add(self._clock.monotonic(), failed=False)
            return
        self._successes += 1
        if self._successes >= self._policy.successes_to_close:
            self._close()

    def fail(self, permit: Permit) -> None:
        """Record a failure of the provider."""
        self.release(permit)
        if permit.generation != self._permit.generation:
            return
        if self._state is _HEALTHY and not self._reaches_threshold():
            return
        policy = self._policy
        longest = min(policy.open_cap_seconds, self._next_open_seconds)
        # capped here, since a power of the number of openings would overflow within hours of an outage
        self._next_open_seconds = min(policy.open_cap_seconds, longest * self._growth)
        self._growth = policy.growth
        self._open(longest * self._random.uniform(1 - policy.jitter, 1))
        logger.warning("circuit opened: %s", self._name)

    def misconfigure(self, permit: Permit, *, may_concern_one_call: bool = False) -> None:
        """Record that the provider refuses our key or does not know the model, which an operator has to correct.

        Args:
            permit: The permit of the call.
            may_concern_one_call: Other calls may be accepted, so several refusals in a row are needed to open. A route
                already known to be misconfigured opens at once.
        """
        self.release(permit)
        if permit.generation != self._permit.generation:
            return
        if may_concern_one_call and not self._is_misconfigured:
            self._consecutive_refusals += 1
            if self._consecutive_refusals < self._policy.consecutive_failures:
                logger.error(
                    "provider refuses a call for its cost, region or model: %s", self._name
                )
                return
        self._is_misconfigured = True
        self._open(self._policy.misconfigured_seconds)
        logger.error("provider refuses our key or does not know the model: %s", self._name)

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be made."""
        if self._state is _HEALTHY:
            return 0.0
        now_seconds = self._clock.monotonic()
        if self._state is RouteState.OPEN:
            return max(0.0, self._open_until_seconds - now_seconds)
        if self._probe is None:
            return 0.0
        return min(_PROBE_WAIT_SECONDS, max(0.0, self._probe_until_seconds - now_seconds))

    def closure(self) -> RouteClosure | None:
        """Return why not every call is admitted; None when every one is."""
        if self._state is _HEALTHY:
            return None
        return RouteClosure(
            state=RouteState.MISCONFIGURED if self._is_misconfigured else self._state,
            since_milliseconds=self._since_milliseconds,
            retry_after_seconds=self.closed_for_seconds(),
        )

    def _reaches_threshold(self) -> bool:
        now_seconds = self._clock.monotonic()
        self._consecutive_failures += 1
        self._window.add(now_seconds, failed=True)
        policy = self._policy
        return (
            self._consecutive_failures >= policy.consecutive_failures
            or self._window.failure_ratio(now_seconds, policy.minimum_calls) >= policy.failure_ratio
        )

    def _open(self, seconds: float) -> None:
        if self._state is _HEALTHY:
            self._since_milliseconds = self._clock.now_milliseconds()
        self._open_until_seconds = self._clock.monotonic() + seconds
        self._begin(RouteState.OPEN)

    def _close(self) -> None:
        self._next_open_seconds = self._policy.open_seconds
        self._growth = self._policy.first_growth
        self._consecutive_failures = 0
        self._window.clear()
        self._is_misconfigured = False
        self._begin(RouteState.HEALTHY)
        logger.info("circuit closed: %s", self._name)

    def _begin(self, state: RouteState) -> None:
        self._state = state
        self._permit = Permit(self._permit.generation + 1)
        self._probe = None

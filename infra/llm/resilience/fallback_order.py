"""Who is asked next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from domain.entities.chat_request_context import ChatRequestContext
from domain.exceptions import ContextTooLong, DomainError, LLMError, LLMUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.final_error import before_any_word, in_mid_answer
from infra.llm.resilience.route import Route
from infra.llm.resilience.time_budget import seconds_to_first_text

_LEAST_ATTEMPTS = 3
_MOST_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackPolicy:
    """What bounds the search for an answer.

    Attributes:
        attempts_per_route: Of one turn at one provider and model, retries included.
        attempts_per_turn: At all of them together; None leaves it to the number of routes.
        min_attempt_seconds: No further attempt starts with less time left.
    """

    attempts_per_route: int = 2
    attempts_per_turn: int | None = None
    min_attempt_seconds: float = 2.0

    def attempts_for(self, routes: int) -> int:
        """Return how many attempts a turn with so many routes has: by default every route's first, and a retry."""
        if self.attempts_per_turn is not None:
            return self.attempts_per_turn
        return max(_LEAST_ATTEMPTS, min(routes + 1, _MOST_ATTEMPTS))


@dataclass(slots=True)
class FallbackOrder:
    """The routes of one turn, in order, and how far down it has come.

    Attributes:
        routes: Who may answer; never empty.
        client: The way to ask the present route: the first time with retries, to go on without.
    """

    routes: Sequence[Route]
    context: ChatRequestContext
    policy: FallbackPolicy
    clock: Clock
    client: LLMClient = field(init=False)
    _most_attempts: int = field(init=False)
    _failures: list[tuple[Route, LLMError]] = field(default_factory=list, init=False)
    _is_out_of_time: bool = field(default=False, init=False)
    _position: int = field(default=0, init=False)
    _too_small: list[Route] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.client = self.routes[0].client
        self._most_attempts = self.policy.attempts_for(len(self.routes))

    def tell_turn(self, *, going_on: bool) -> None:
        """Set in the turn what the attempts at the present route leave to those after it, should it fail.

        Args:
            going_on: Only routes count that can go on with a broken answer.
        """
        context = self.context
        left = self._most_attempts - len(context.attempts) - 1
        others = self._routes_left(going_on=going_on)
        context.has_fallback = left > 0 and others > 0
        context.spare_attempts = left - others

    def advance(self, error: LLMError) -> None:
        """Move on after `error` of the present route, where the caller has seen no word.

        Raises:
            DomainError: Nobody is left to ask; what the caller is to be told.
        """
        self._note(error)
        if not self._step_on(error):
            _raise(
                before_any_word(self._failures, self.routes, is_out_of_time=self._is_out_of_time),
                error,
            )

    def advance_after_break(self, error: LLMError, *, is_first_break: bool) -> None:
        """Move to who can go on with a broken answer: the same model if only the connection broke, then the others.

        Args:
            error: What the present route ended with.
            is_first_break: It broke an answer off, rather than an attempt to go on with one. What is wrong with such
                an attempt is no fault of the caller's, so that the next may well be asked.

        Raises:
            LLMError: Nobody can go on; what the caller is to be told.
        """
        self._note(error)
        if not self._step_over_break(error, is_first_break):
            _raise(in_mid_answer(self._failures), error)

    def _step_on(self, error: LLMError) -> bool:
        if isinstance(error, ContextTooLong):
            self._too_small.append(self.route)
        elif not error.allows_fallback:
            return False
        if not self._may_ask_again(seconds_to_first_text(self.context, self.clock.monotonic())):
            return False
        for position in range(self._position + 1, len(self.routes)):
            if self._may_have_room(self.routes[position]):
                self._position = position
                self.client = self.routes[position].client
                return True
        return False

    def _step_over_break(self, error: LLMError, is_first_break: bool) -> bool:
        if is_first_break and not error.allows_fallback:
            return False
        if not self._may_ask_again(
            self.context.answer_deadline.remaining_seconds(self.clock.monotonic())
        ):
            return False
        is_only_cut = isinstance(error, LLMUnavailable) and error.connection_broke
        first = self._position + (0 if is_only_cut and self._may_repeat() else 1)
        for position in range(first, len(self.routes)):
            if self.routes[position].continues:
                self._position = position
                self.client = self.routes[position].once
                return True
        return False

    @property
    def route(self) -> Route:
        """The route that is asked at present."""
        return self.routes[self._position]

    def _may_have_room(self, route: Route) -> bool:
        """Return whether the route's window may hold what was too long for others.

        A window that is not known may, unless it is that of a model which has refused already.
        """
        for small in self._too_small:
            if route.context_tokens is None or small.context_tokens is None:
                if route.upstream and _model_name(route) == _model_name(small):
                    return False
            elif route.context_tokens <= small.context_tokens:
                return False
        return True

    def _note(self, error: LLMError) -> None:
        self._failures.append((self.route, error))

    def _may_ask_again(self, left_seconds: float) -> bool:
        if len(self.context.attempts) >= self._most_attempts:
            return False
        self._is_out_of_time = left_seconds < self.policy.min_attempt_seconds
        return not self._is_out_of_time

    def _may_repeat(self) -> bool:
        route = self.route
        here = sum(
            attempt.provider == route.provider and attempt.model == route.model
            for attempt in self.context.attempts
        )
        left = self._most_attempts - len(self.context.attempts)
        return here < self.policy.attempts_per_route and left > self._routes_left(going_on=True)

    def _routes_left(self, *, going_on: bool) -> int:
        """Return how many routes after the present one could be asked now."""
        left = 0
        for route in self.routes[self._position + 1 :]:
            if (route.continues or not going_on) and not route.is_closed():
                left += 1
        return left


def _model_name(route: Route) -> str:
    """Return what different providers call the same model: `openai/gpt-5.4-mini` is `gpt-5.4-mini`."""
    return route.upstream.rpartition("/")[2].lower()


def _raise(verdict: DomainError, error: LLMError) -> NoReturn:
    if verdict is error:
        raise error
    raise verdict from error

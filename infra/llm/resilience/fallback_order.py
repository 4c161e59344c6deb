"""Chooses the next route of a request after a failure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from domain.entities.chat_request_context import ChatRequestContext
from domain.exceptions import CannotContinue, ContextTooLong, DomainError, LLMError, LLMUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.catalogue.model_names import shared_name
from infra.llm.resilience.final_error import before_any_word, in_mid_answer
from infra.llm.resilience.route import Route
from infra.llm.resilience.time_budget import seconds_to_first_text

_LEAST_ATTEMPTS = 3
_MOST_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackPolicy:
    """Limits on the attempts of one request.

    Attributes:
        attempts_per_route: At one provider and model, retries included.
        attempts_per_turn: At all routes together; None derives it from the number of routes.
        min_attempt_seconds: No further attempt starts with less time left.
    """

    attempts_per_route: int = 2
    attempts_per_turn: int | None = None
    min_attempt_seconds: float = 2.0

    def attempts_for(self, routes: int) -> int:
        """Return the attempts of a request with so many routes: by default one for each route, and a retry."""
        if self.attempts_per_turn is not None:
            return self.attempts_per_turn
        return max(_LEAST_ATTEMPTS, min(routes + 1, _MOST_ATTEMPTS))


@dataclass(slots=True)
class FallbackOrder:
    """The routes of one request, in order, and the current one.

    Attributes:
        routes: The routes that may answer; never empty.
        client: Client of the current route: with retries for a new answer, without for a continuation.
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

    def update_context(self, *, is_continuing: bool) -> None:
        """Set in the context whether a fallback is left, and how many retries the current route may use.

        Args:
            is_continuing: Count only routes that can continue a broken answer.
        """
        context = self.context
        left = self._most_attempts - len(context.attempts) - 1
        others = self._routes_left(is_continuing=is_continuing)
        context.has_fallback = left > 0 and others > 0
        context.spare_attempts = left - others

    def begin_to_continue(self) -> None:
        """Move to the first route that can continue an answer that another process began.

        Raises:
            CannotContinue: There is none.
        """
        for position, route in enumerate(self.routes):
            if route.continues:
                self._position = position
                self.client = route.once
                return
        raise CannotContinue

    def advance(self, error: LLMError) -> None:
        """Move to the next route after `error` of the current one, where the caller has received no text.

        Raises:
            DomainError: No route is left; the error for the caller.
        """
        self._record(error)
        if not self._advance(error):
            _raise(
                before_any_word(self._failures, self.routes, is_out_of_time=self._is_out_of_time),
                error,
            )

    def advance_after_break(self, error: LLMError, *, is_first_break: bool) -> None:
        """Move to a route that can continue a broken answer: the same model if only the connection broke, then the others.

        Args:
            error: The end of the current route.
            is_first_break: It broke an answer rather than a continuation. A continuation that is rejected is not the
                caller's fault, so the next route may be tried.

        Raises:
            LLMError: No route can continue; the error for the caller.
        """
        self._record(error)
        if not self._advance_to_continue(error, is_first_break):
            _raise(in_mid_answer(self._failures), error)

    def _advance(self, error: LLMError) -> bool:
        if isinstance(error, ContextTooLong):
            self._too_small.append(self.route)
        elif not error.allows_fallback:
            return False
        if not self._may_call_again(seconds_to_first_text(self.context, self.clock.monotonic())):
            return False
        for position in range(self._position + 1, len(self.routes)):
            if self._may_fit(self.routes[position]):
                self._position = position
                self.client = self.routes[position].client
                return True
        return False

    def _advance_to_continue(self, error: LLMError, is_first_break: bool) -> bool:
        if is_first_break and not error.allows_fallback:
            return False
        if not self._may_call_again(
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
        """The current route."""
        return self.routes[self._position]

    def _may_fit(self, route: Route) -> bool:
        """Return whether the route's context window may hold a prompt that was too long for others.

        An unknown window may, unless it belongs to a model that has refused already.
        """
        for small in self._too_small:
            if route.context_tokens is None or small.context_tokens is None:
                if route.upstream and shared_name(route.upstream) == shared_name(small.upstream):
                    return False
            elif route.context_tokens <= small.context_tokens:
                return False
        return True

    def _record(self, error: LLMError) -> None:
        self._failures.append((self.route, error))

    def _may_call_again(self, left_seconds: float) -> bool:
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
        return here < self.policy.attempts_per_route and left > self._routes_left(
            is_continuing=True
        )

    def _routes_left(self, *, is_continuing: bool) -> int:
        """Return how many routes after the current one could be called now."""
        left = 0
        for route in self.routes[self._position + 1 :]:
            if (route.continues or not is_continuing) and not route.is_closed():
                left += 1
        return left


def _raise(final_error: DomainError, error: LLMError) -> NoReturn:
    if final_error is error:
        raise error
    raise final_error from error

"""Retries a route where that is likely to help. No other file retries."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from random import Random

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import WORDS, AnswerEvent, Reply
from domain.exceptions import (
    AnswerDoesNotFit,
    BulkheadFull,
    LLMError,
    LLMRateLimited,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
)
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.retry_budget import RetryBudget, RetryBudgetPolicy
from infra.llm.resilience.route_health import RouteBreaker
from infra.llm.resilience.time_budget import seconds_to_first_text

# Transient. Other failures with a status, and unreadable answers, are likely to recur.
RETRIED_STATUSES = frozenset({408, 424, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is retried at the same provider.

    Attributes:
        attempts_per_route: Of one request at one provider and model.
        cap_seconds: The longest pause; a provider that requests a longer one is not retried.
        min_attempt_seconds: No attempt starts with less time left.
    """

    attempts_per_route: int = 2
    base_seconds: float = 0.2
    cap_seconds: float = 2.0
    min_attempt_seconds: float = 2.0
    budget: RetryBudgetPolicy = field(default_factory=RetryBudgetPolicy)


class Retry(LLMClient):
    """Calls the same route again after transient failures: lost connections, 5xx, a short rate limit.

    Never after text reached a streaming caller, never after a timeout, never when the budget of the route is spent, and
    never with an attempt that a fallback needs. After a rate limit only when no fallback is left. Attempts are counted
    in `context.attempts`, where the wrapped client has to record them.
    """

    def __init__(
        self,
        inner: LLMClient,
        *,
        provider: str,
        model: str,
        policy: RetryPolicy,
        clock: Clock,
        random: Random,
        breakers: Sequence[RouteBreaker],
    ) -> None:
        """Wrap one route.

        Args:
            inner: The route.
            provider: Its name in the attempts.
            model: Its name in the attempts.
            policy: When to retry.
            clock: For pauses.
            random: For jitter.
            breakers: May refuse a call of the route; no retry waits for a call that they will refuse.
        """
        self._inner = inner
        self._provider = provider
        self._model = model
        self._policy = policy
        self._clock = clock
        self._random = random
        self._breakers = tuple(breakers)
        self.budget = RetryBudget(policy.budget)

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        retries = 0
        failure: LLMError | None = None
        while True:
            has_text = False
            events = self._inner.stream(prompt, context)
            try:
                async for event in events:
                    if isinstance(event, WORDS):
                        has_text = True
                    elif isinstance(event, Reply) and not retries:
                        self.budget.refund_success()
                    yield event
                return
            except (NoRoute, BulkheadFull) as refusal:
                if failure is None:
                    raise
                # the route closed during the pause; the first failure says more than the refusal
                raise failure from refusal
            except LLMError as error:
                failure = error
                if isinstance(error, LLMTimeout) and not error.caller_deadline_was_shorter:
                    self.budget.pay_timeout()
                pause_seconds = self._pause_before_retry(error, context, retries, has_text)
                if pause_seconds is None:
                    raise
            finally:
                await events.aclose()
            retries += 1
            await self._clock.sleep(pause_seconds)

    def _pause_before_retry(
        self, error: LLMError, context: ChatRequestContext, retries: int, has_text: bool
    ) -> float | None:
        """Return the seconds to wait, and pay for the retry from the budget; None without a retry."""
        if not is_transient(error) or (has_text and context.is_streamed):
            return None
        is_limited = isinstance(error, LLMRateLimited)
        if is_limited and context.has_fallback:
            return None
        if not self._has_attempts_left(context, retries):
            return None
        requested_seconds = error.retry_after_seconds
        if is_limited and (requested_seconds is None or requested_seconds <= 0):
            requested_seconds = self._closed_for_seconds()
        pause_seconds = self._pause_seconds(requested_seconds, retries)
        if pause_seconds is None or self._will_refuse_after(pause_seconds):
            return None
        left_seconds = seconds_to_first_text(context, self._clock.monotonic())
        if left_seconds - pause_seconds < self._policy.min_attempt_seconds:
            return None
        return pause_seconds if self.budget.take_retry() else None

    def _has_attempts_left(self, context: ChatRequestContext, retries: int) -> bool:
        recorded = sum(
            attempt.provider == self._provider and attempt.model == self._model
            for attempt in context.attempts
        )
        here = max(recorded, retries + 1)
        return here < self._policy.attempts_per_route and retries < context.spare_attempts

    def _will_refuse_after(self, pause_seconds: float) -> bool:
        return self._closed_for_seconds() > pause_seconds

    def _closed_for_seconds(self) -> float:
        return max((breaker.closed_for_seconds() for breaker in self._breakers), default=0.0)

    def _pause_seconds(self, requested_seconds: float | None, retries: int) -> float | None:
        policy = self._policy
        if requested_seconds is None or requested_seconds <= 0:
            return self._random.uniform(
                0, min(policy.cap_seconds, policy.base_seconds * 2**retries)
            )
        if requested_seconds > policy.cap_seconds:
            return None
        # later than requested: never early by a clock's rounding, and callers spread out
        return requested_seconds + self._random.uniform(
            policy.base_seconds / 10, policy.base_seconds
        )


def is_transient(error: LLMError) -> bool:
    """Return whether the same route may answer a moment later."""
    if isinstance(error, AnswerDoesNotFit):
        return True
    if isinstance(error, LLMUnavailable):
        return error.connection_broke or error.http_status in RETRIED_STATUSES
    return error.is_retryable

"""Chooses the error for the caller when no route answered."""

from collections.abc import Sequence

from domain.exceptions import (
    BulkheadFull,
    ContentBlocked,
    ContextTooLong,
    DomainError,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
    Overloaded,
)
from infra.llm.resilience.route import Route

_LEAST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0

# The provider was called and failed, as opposed to not being called or rejecting the request.
_PROVIDER_FAILURES = (LLMTimeout, LLMUnavailable, LLMRateLimited)


def before_any_word(
    failures: Sequence[tuple[Route, LLMError]], routes: Sequence[Route], *, is_out_of_time: bool
) -> DomainError:
    """Return the error for `failures`, where the caller has received no text.

    Args:
        failures: The failed and refused calls, in order; at least one.
        routes: The routes that were allowed to answer.
        is_out_of_time: Too little time was left for the next route.
    """
    last = failures[-1][1]
    if isinstance(last, LLMRejected | ContentBlocked):
        return last
    too_small = [route for route, error in failures if isinstance(error, ContextTooLong)]
    others = [error for _, error in failures if not isinstance(error, ContextTooLong)]
    failed = [error for error in others if isinstance(error, _PROVIDER_FAILURES)]
    if failed and isinstance(failed[-1], LLMTimeout):
        return failed[-1]
    if is_out_of_time and not failed:
        return LLMTimeout("no time left for a call", caller_deadline_was_shorter=True)
    if not others:
        return last
    if all(isinstance(error, LLMMisconfigured) for error in others):
        return others[-1]
    if not failed and any(isinstance(error, BulkheadFull) for error in others):
        return Overloaded()
    waits = [route.closed_for_seconds() for route in routes if route not in too_small]
    soonest = min(waits)
    if soonest > 0 or not failed:
        return NoRoute(
            retry_after_seconds=min(max(soonest, _LEAST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
        )
    return failed[-1]


def in_mid_answer(failures: Sequence[tuple[Route, LLMError]]) -> LLMError:
    """Return the error that broke the answer, where text of it reached the caller and no route could continue it.

    Reasons why a continuation failed (a closed route, a rejected prefill) do not concern the caller.
    """
    for _, error in reversed(failures):
        if isinstance(error, _PROVIDER_FAILURES):
            return error
    error = failures[-1][1]
    if isinstance(error, LLMRejected | ContextTooLong):
        return LLMUnavailable("the answer broke off", http_status=error.http_status)
    return error

"""What a caller is told when nobody answered."""

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

# Of a provider that was asked and could not, as against one that was not asked or found fault with the question.
_FAILED_THEMSELVES = (LLMTimeout, LLMUnavailable, LLMRateLimited)


def before_any_word(
    failures: Sequence[tuple[Route, LLMError]], routes: Sequence[Route], *, is_out_of_time: bool
) -> DomainError:
    """Return what sums up `failures`, where the caller has seen nothing of an answer.

    Args:
        failures: How each call ended or was refused, in order; at least one.
        routes: Who was allowed to answer.
        is_out_of_time: There was too little time left to ask the next.
    """
    last = failures[-1][1]
    if isinstance(last, LLMRejected | ContentBlocked):
        return last
    too_small = [route for route, error in failures if isinstance(error, ContextTooLong)]
    told = [error for _, error in failures if not isinstance(error, ContextTooLong)]
    failed = [error for error in told if isinstance(error, _FAILED_THEMSELVES)]
    if failed and isinstance(failed[-1], LLMTimeout):
        return failed[-1]
    if is_out_of_time and not failed:
        return LLMTimeout("no time left to ask anybody", caller_deadline_was_shorter=True)
    if not told:
        return last
    if all(isinstance(error, LLMMisconfigured) for error in told):
        return told[-1]
    if not failed and any(isinstance(error, BulkheadFull) for error in told):
        return Overloaded()
    waits = [route.closed_for_seconds() for route in routes if route not in too_small]
    soonest = min(waits)
    if soonest > 0 or not failed:
        return NoRoute(
            retry_after_seconds=min(max(soonest, _LEAST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
        )
    return failed[-1]


def in_mid_answer(failures: Sequence[tuple[Route, LLMError]]) -> LLMError:
    """Return what broke the answer off, where words of it reached the caller and nobody could go on.

    What stood in the way of going on (a closed route, a refused prefill) is our affair, not the caller's.
    """
    for _, error in reversed(failures):
        if isinstance(error, _FAILED_THEMSELVES):
            return error
    error = failures[-1][1]
    if isinstance(error, LLMRejected | ContextTooLong):
        return LLMUnavailable("the answer broke off", http_status=error.http_status)
    return error

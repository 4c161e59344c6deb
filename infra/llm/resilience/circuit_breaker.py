"""Stops calling a route that keeps failing."""

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import FinishReason, Reply
from domain.exceptions import (
    AnswerDoesNotFit,
    LLMMisconfigured,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
)
from infra.llm.resilience.breaker_state import Breaker, Permit
from infra.llm.resilience.call_hooks import CallHooks

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_CONTENT_FILTER = FinishReason.CONTENT_FILTER


class CircuitBreaker(CallHooks[Permit]):
    """Requests a permit from the `Breaker` of one provider and model before each call, and reports the call's end to it.

    Failures are timeouts, lost connections, 5xx and broken answers. A rejected request, a safety block, a rate limit or
    a caller that disconnected counts neither for nor against the route; its permit is released.
    """

    def __init__(self, *, breaker: Breaker, first_token_seconds: float) -> None:
        """Guard one route.

        Args:
            breaker: The state of the route.
            first_token_seconds: How long the provider may be silent while a fallback is left.
        """
        self._breaker = breaker
        self._first_token_seconds = first_token_seconds

    def on_enter(self, context: ChatRequestContext) -> Permit:
        # without a fallback, the provider may use all the time of the request
        attempt_seconds = (
            self._first_token_seconds
            if context.has_fallback
            else context.first_text_deadline.at_seconds - context.started_seconds
        )
        permit = self._breaker.admit(attempt_seconds)
        if permit is not None:
            return permit
        wait_seconds = self._breaker.closed_for_seconds()
        if self._breaker.is_misconfigured:
            raise LLMMisconfigured("left alone", retry_after_seconds=wait_seconds)
        raise NoRoute("circuit open", retry_after_seconds=wait_seconds)

    def on_reply(self, call: Permit, context: ChatRequestContext, reply: Reply) -> None:
        if reply.finish_reason is not _CONTENT_FILTER:
            self._breaker.succeed(call)

    def on_error(self, call: Permit, context: ChatRequestContext, error: BaseException) -> None:
        if isinstance(error, LLMMisconfigured):
            self._breaker.misconfigure(call, may_concern_one_call=error.may_concern_one_call)
        elif isinstance(error, AnswerDoesNotFit):
            return  # the schema is the caller's, and may fit no answer
        elif isinstance(error, LLMUnavailable) or (
            isinstance(error, LLMTimeout) and not error.caller_deadline_was_shorter
        ):
            self._breaker.fail(call)

    def on_exit(self, call: Permit) -> None:
        self._breaker.release(call)

"""A route that keeps failing is not asked, so that nobody waits for it."""

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import FinishReason, Reply
from domain.exceptions import LLMMisconfigured, LLMTimeout, LLMUnavailable, NoRoute
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.breaker_state import Breaker, Permit
from infra.llm.resilience.call_hooks import Gate


class CircuitBreaker(Gate[Permit]):
    """Puts a `Breaker` before one provider and model, and tells it how the calls end.

    Failures are timeouts, lost connections, 5xx and broken answers. What is the caller's doing, a safety block,
    a rate limit or a caller who left says nothing about the route, and gives the permit back.
    """

    def __init__(self, inner: LLMClient, *, breaker: Breaker, first_token_seconds: float) -> None:
        """Wrap one route.

        Args:
            inner: The route.
            breaker: Its state.
            first_token_seconds: How long the provider may keep silent while somebody else could answer.
        """
        super().__init__(inner)
        self._breaker = breaker
        self._first_token_seconds = first_token_seconds

    def enter(self, context: ChatRequestContext) -> Permit:
        # with nobody else to ask, the provider has all the turn's time
        attempt_seconds = (
            self._first_token_seconds
            if context.has_fallback
            else context.first_text_by.at_seconds - context.started_seconds
        )
        permit = self._breaker.admit(attempt_seconds)
        if permit is not None:
            return permit
        wait_seconds = self._breaker.closed_for_seconds()
        if self._breaker.is_misconfigured:
            raise LLMMisconfigured("left alone", retry_after_seconds=wait_seconds)
        raise NoRoute("circuit open", retry_after_seconds=wait_seconds)

    def answer(self, call: Permit, context: ChatRequestContext, reply: Reply) -> None:
        if reply.finish_reason is not FinishReason.CONTENT_FILTER:
            self._breaker.succeed(call)

    def fail(self, call: Permit, context: ChatRequestContext, error: BaseException) -> None:
        if isinstance(error, LLMMisconfigured):
            self._breaker.misconfigure(call, may_concern_one_call=error.may_concern_one_call)
        elif isinstance(error, LLMUnavailable) or (
            isinstance(error, LLMTimeout) and not error.caller_deadline_was_shorter
        ):
            self._breaker.fail(call)

    def leave(self, call: Permit) -> None:
        self._breaker.release(call)

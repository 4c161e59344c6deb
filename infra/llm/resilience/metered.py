"""Records every call of a provider, however it ends."""

import asyncio

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import ContentBlocked, LLMError
from domain.interfaces.clock import Clock
from domain.interfaces.telemetry import CANCELLED, OK, AttemptObserver
from infra.llm.resilience.call_hooks import CallHooks

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_CONTENT_FILTER = FinishReason.CONTENT_FILTER


class MeteredCall:
    """One call in flight.

    Attributes:
        started_seconds: On the monotonic clock.
        first_text_seconds: From the start to the first text; None before it.
        is_over: The call is in `context.attempts`.
    """

    __slots__ = ("first_text_seconds", "is_over", "started_seconds")

    def __init__(self, started_seconds: float) -> None:
        self.started_seconds = started_seconds
        self.first_text_seconds: float | None = None
        self.is_over = False


class Metered(CallHooks[MeteredCall]):
    """Records each call in `context.attempts` with its outcome, times and usage, and reports it to an observer.

    An attempt is recorded before its `Reply` is yielded, and also when the caller disconnects.
    """

    def __init__(
        self,
        *,
        provider: str,
        model: str,
        answered_status: int | None,
        clock: Clock,
        observer: AttemptObserver,
    ) -> None:
        """Record the calls of one model.

        Args:
            provider: Its name in the attempts.
            model: Its name in the attempts.
            answered_status: HTTP status of an answered call; None where the client does not use HTTP.
            clock: For the times.
            observer: Notified of each call.
        """
        self._provider = provider
        self._model = model
        self._answered_status = answered_status
        self._clock = clock
        self._observer = observer

    def on_enter(self, context: ChatRequestContext) -> MeteredCall:
        self._observer.attempt_started(context, self._provider, self._model)
        context.reported_usage = None
        return MeteredCall(self._clock.monotonic())

    def on_first_text(self, call: MeteredCall) -> None:
        call.first_text_seconds = self._clock.monotonic() - call.started_seconds

    def on_reply(self, call: MeteredCall, context: ChatRequestContext, reply: Reply) -> None:
        blocked = reply.finish_reason is _CONTENT_FILTER
        outcome = ContentBlocked.outcome if blocked else OK
        self._log(call, context, outcome, self._answered_status, reply)

    def on_error(
        self, call: MeteredCall, context: ChatRequestContext, error: BaseException
    ) -> None:
        if call.is_over:
            return
        if isinstance(error, LLMError):
            self._log(call, context, error.outcome, error.http_status)
        elif isinstance(error, GeneratorExit | asyncio.CancelledError):
            self._log(call, context, CANCELLED)
        else:
            self._log(call, context, LLMError.outcome)

    def _log(
        self,
        call: MeteredCall,
        context: ChatRequestContext,
        outcome: str,
        http_status: int | None = None,
        reply: Reply | None = None,
    ) -> None:
        call.is_over = True
        usage: Usage | None = None
        if reply is not None:
            usage = reply.usage
        elif context.reported_usage is not None:
            usage = context.reported_usage()
        context.reported_usage = None
        attempt = Attempt(
            provider=self._provider,
            model=self._model,
            outcome=outcome,
            seconds=round(self._clock.monotonic() - call.started_seconds, 6),
            http_status=http_status,
            usage=usage if usage is not None and usage.is_reported else None,
        )
        context.attempts.append(attempt)
        self._observer.attempt_ended(context, attempt, call.first_text_seconds, reply)

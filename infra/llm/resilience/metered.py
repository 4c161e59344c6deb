"""Every call of a provider is counted, whatever becomes of it."""

import asyncio

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import ContentBlocked, LLMError
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.telemetry import CANCELLED, OK, AttemptObserver
from infra.llm.resilience.call_hooks import Gate


class MeteredCall:
    """One call under way.

    Attributes:
        started_seconds: Monotonic.
        first_text_seconds: From the start; None until there was text.
        is_over: It is in the log.
    """

    __slots__ = ("first_text_seconds", "is_over", "started_seconds")

    def __init__(self, started_seconds: float) -> None:
        self.started_seconds = started_seconds
        self.first_text_seconds: float | None = None
        self.is_over = False


class Metered(Gate[MeteredCall]):
    """Logs each call in `context.attempts` with its outcome, times and usage, and tells the observer.

    The attempt is in the log before the `Reply` is handed on; that of a caller who left is there too.
    """

    def __init__(
        self,
        inner: LLMClient,
        *,
        provider: str,
        model: str,
        answered_status: int | None,
        clock: Clock,
        observer: AttemptObserver,
    ) -> None:
        """Wrap the client of one model.

        Args:
            inner: The client.
            provider: Its name in the attempts.
            model: Its name in the attempts.
            answered_status: The status of a call that was answered; None where the client does not speak HTTP.
            clock: For the times.
            observer: Is told of each call.
        """
        super().__init__(inner)
        self._provider = provider
        self._model = model
        self._answered_status = answered_status
        self._clock = clock
        self._observer = observer

    def enter(self, context: ChatRequestContext) -> MeteredCall:
        self._observer.attempt_started(context, self._provider, self._model)
        context.reported_usage = None
        return MeteredCall(self._clock.monotonic())

    def speak(self, call: MeteredCall) -> None:
        call.first_text_seconds = self._clock.monotonic() - call.started_seconds

    def answer(self, call: MeteredCall, context: ChatRequestContext, reply: Reply) -> None:
        blocked = reply.finish_reason is FinishReason.CONTENT_FILTER
        outcome = ContentBlocked.outcome if blocked else OK
        self._log(call, context, outcome, self._answered_status, reply)

    def fail(self, call: MeteredCall, context: ChatRequestContext, error: BaseException) -> None:
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

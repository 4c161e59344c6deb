"""Listens to an answer and tells what history keeps of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    NO_USAGE,
    FinishReason,
    ProviderSelected,
    Reply,
    Usage,
    total_usage,
)
from domain.exceptions import ContentBlocked, DomainError, LLMError, Overloaded
from domain.interfaces.clock import Clock

_MICROSECONDS = 6


@dataclass(slots=True)
class Recording:
    """What has been heard of one answer so far; each ending is told once."""

    context: ChatRequestContext
    prompt: Prompt
    clock: Clock
    _texts: list[str] = field(default_factory=list, init=False)
    _answering: ProviderSelected | None = field(default=None, init=False)
    _first_token_seconds: float | None = field(default=None, init=False)
    _heard_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self._heard_seconds = self.clock.monotonic()

    def hear(self, event: ProviderSelected | str) -> None:
        """Take in a piece; who takes over without continuing starts the answer anew."""
        if isinstance(event, str):
            if self._first_token_seconds is None:
                self._first_token_seconds = self._seconds()
            self._texts.append(event)
            return
        if isinstance(event, ProviderSelected):
            self._answering = event
            if not event.continues:
                self._texts.clear()
                self._first_token_seconds = None

    def replied(self, reply: Reply) -> Interaction:
        """The answer came to its end."""
        if reply.finish_reason is FinishReason.CONTENT_FILTER:
            status = Status.BLOCKED
        elif reply.was_cut_at_limit:
            status = Status.TRUNCATED
        else:
            status = Status.COMPLETED
        return self._told(status, reply.finish_reason, reply.usage)

    def failed(self, error: LLMError) -> Interaction:
        """Nobody answered, or not to the end."""
        if isinstance(error, ContentBlocked):
            return self._told(Status.BLOCKED, FinishReason.CONTENT_FILTER, error=error.code)
        status = Status.TRUNCATED if self._texts else Status.FAILED
        return self._told(status, FinishReason.ERROR, error=error.code)

    def abandoned(self) -> Interaction:
        """Broken off before the end: the caller left, or the service stops.

        A plain call runs on when its caller leaves, so only the service's end breaks one off.
        """
        if self.context.ended_by_shutdown or not self.context.is_streamed:
            return self.broken(Overloaded.code)
        return self._told(Status.CLIENT_CANCELLED, None)

    def broken(self, error: str = DomainError.code) -> Interaction:
        """We failed ourselves."""
        status = Status.TRUNCATED if self._texts else Status.FAILED
        return self._told(status, FinishReason.ERROR, error=error)

    def _seconds(self) -> float:
        return round(self.clock.monotonic() - self._heard_seconds, _MICROSECONDS)

    def _told(
        self,
        status: Status,
        finish_reason: FinishReason | None,
        usage: Usage = NO_USAGE,
        error: str | None = None,
    ) -> Interaction:
        interaction = self.interaction(status, finish_reason, usage, error)
        self.context.llm_seconds = interaction.latency_seconds
        self.context.interaction = interaction
        return interaction

    def interaction(
        self,
        status: Status,
        finish_reason: FinishReason | None = None,
        usage: Usage = NO_USAGE,
        error: str | None = None,
    ) -> Interaction:
        """Return what is known so far, as an interaction of `status`."""
        context = self.context
        attempts = tuple(context.attempts)
        model, provider = context.model, None
        if self._answering is not None:
            model, provider = self._answering.model, self._answering.provider
        if attempts and (self._answering is None or status is Status.FAILED):
            model, provider = attempts[-1].model, attempts[-1].provider
        return Interaction(
            id=context.id,
            user_id=context.user_id,
            conversation_id=context.conversation_id,
            prompt=self.prompt.for_storage(),
            requested_model=self.prompt.model or context.model,
            model=model,
            provider=provider,
            text="".join(self._texts),
            status=status,
            finish_reason=finish_reason,
            usage=_usage_of(attempts) or usage,
            fallback_used=model != context.model,
            latency_seconds=self._seconds(),
            time_to_first_token_seconds=self._first_token_seconds,
            attempts=attempts,
            error=error,
        )


def _usage_of(attempts: Sequence[Attempt]) -> Usage | None:
    """Return the sum over `attempts`; None when no provider reported anything."""
    reported = [attempt.usage for attempt in attempts if attempt.usage is not None]
    return total_usage(reported) if reported else None

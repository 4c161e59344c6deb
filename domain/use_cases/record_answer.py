"""Builds the interaction of a request from the events of its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.items import OutputItem, Reasoning, Text, ToolCall, text_of
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    NO_USAGE,
    FinishReason,
    MetadataReceived,
    ProviderSelected,
    ReasoningDelta,
    Reply,
    Usage,
    total_usage,
)
from domain.exceptions import ContentBlocked, DomainError, LLMError, Overloaded
from domain.interfaces.clock import Clock

_MICROSECONDS = 6

# On Python 3.11 a lookup in the class takes forty times as long, and these are made for every chat.
_CONTENT_FILTER = FinishReason.CONTENT_FILTER
_LENGTH = FinishReason.LENGTH
_COMPLETED = Status.COMPLETED
_FAILED = Status.FAILED


@dataclass(slots=True)
class AnswerRecorder:
    """Collects the events of one answer. One of the methods for its end is called once, and returns the interaction.

    Attributes:
        started_seconds: When the answer began, on the monotonic clock; None: now.
    """

    context: ChatRequestContext
    prompt: Prompt
    clock: Clock
    started_seconds: float | None = None
    _texts: list[str] = field(default_factory=list, init=False)
    _reasoning: list[str] = field(default_factory=list, init=False)
    _items: list[OutputItem] = field(default_factory=list, init=False)
    _selected: ProviderSelected | None = field(default=None, init=False)
    _first_token_seconds: float | None = field(default=None, init=False)
    _started_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        started_seconds = self.started_seconds
        self._started_seconds = (
            self.clock.monotonic() if started_seconds is None else started_seconds
        )

    def add(
        self, event: ProviderSelected | str | ReasoningDelta | ToolCall | MetadataReceived
    ) -> None:
        """Add an event. A new provider that does not continue the answer discards all items so far."""
        if isinstance(event, str):
            if self._first_token_seconds is None:
                self._first_token_seconds = self._seconds()
            if self._reasoning:
                self._end_reasoning()
            self._texts.append(event)
        elif isinstance(event, ProviderSelected):
            self._selected = event
            if not event.continues:
                self.discard()
        elif isinstance(event, ReasoningDelta):
            self._end_text()
            self._reasoning.append(event.text)
        elif isinstance(event, ToolCall):
            if self._first_token_seconds is None:
                self._first_token_seconds = self._seconds()
            self._end_text()
            self._end_reasoning()
            self._items.append(event)
        else:
            self._add_metadata(event)

    def discard(self) -> None:
        """Discard all items so far."""
        self._texts.clear()
        self._reasoning.clear()
        self._items.clear()
        self._first_token_seconds = None

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return text_of(self._items) + "".join(self._texts)

    @property
    def has_call(self) -> bool:
        """Whether the answer so far has a tool call."""
        return any(isinstance(item, ToolCall) for item in self._items)

    def _add_metadata(self, event: MetadataReceived) -> None:
        if event.is_reasoning:
            self._end_text()
            text = "".join(self._reasoning)
            self._reasoning.clear()
            self._items.append(Reasoning(text=text, metadata=event.metadata))
            return
        self._end_reasoning()
        text = "".join(self._texts)
        start = max(0, len(text) - event.characters)
        self._texts.clear()
        if start:
            self._items.append(Text(text=text[:start]))
        self._items.append(Text(text=text[start:], metadata=event.metadata))

    def _end_text(self) -> None:
        if self._texts:
            self._items.append(Text(text="".join(self._texts)))
            self._texts.clear()

    def _end_reasoning(self) -> None:
        if self._reasoning:
            self._items.append(Reasoning(text="".join(self._reasoning)))
            self._reasoning.clear()

    def _has_answer(self) -> bool:
        """Return whether there is text or a tool call."""
        if self._texts:
            return True
        return any(not isinstance(item, Reasoning) for item in self._items)

    def completed(self, reply: Reply) -> Interaction:
        """Return the interaction of an answer that ended with `reply`."""
        if reply.finish_reason is _CONTENT_FILTER:
            status = Status.BLOCKED
        elif reply.was_cut_at_limit or (
            reply.finish_reason is _LENGTH and self.prompt.response_format is not None
        ):
            status = Status.TRUNCATED  # JSON that was cut does not fit its schema
        else:
            status = _COMPLETED
        return self._finish(status, reply.finish_reason, reply.usage)

    def failed(self, error: LLMError) -> Interaction:
        """Return the interaction of an answer that failed or broke off."""
        if isinstance(error, ContentBlocked):
            return self._finish(Status.BLOCKED, FinishReason.CONTENT_FILTER, error=error.code)
        status = Status.TRUNCATED if self._has_answer() else Status.FAILED
        return self._finish(status, FinishReason.ERROR, error=error.code)

    def cancelled(self) -> Interaction:
        """Return the interaction of a request that was cancelled by the client or by shutdown.

        A request without streaming continues when its client disconnects; only shutdown cancels it.
        """
        if self.context.ended_by_shutdown or not self.context.is_streamed:
            return self.failed_with(Overloaded.code)
        return self._finish(Status.CLIENT_CANCELLED, None)

    def failed_with(self, code: str = DomainError.code) -> Interaction:
        """Return the interaction of a request that failed in this service, with an error code."""
        status = Status.TRUNCATED if self._has_answer() else Status.FAILED
        return self._finish(status, FinishReason.ERROR, error=code)

    def _seconds(self) -> float:
        return round(self.clock.monotonic() - self._started_seconds, _MICROSECONDS)

    def _finish(
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
        """Return the state so far as an interaction of `status`."""
        context = self.context
        attempts = (*context.earlier_attempts, *context.attempts)
        model, provider = context.model, None
        if self._selected is not None:
            model, provider = self._selected.model, self._selected.provider
        if attempts and (self._selected is None or status is _FAILED):
            model, provider = attempts[-1].model, attempts[-1].provider
        items: tuple[OutputItem, ...] = ()
        if self._items or self._reasoning:
            self._end_text()
            self._end_reasoning()
            items = tuple(self._items)
        return Interaction(
            id=context.id,
            user_id=context.user_id,
            conversation_id=context.conversation_id,
            previous_id=context.previous_id,
            prompt=self.prompt.for_storage(),
            requested_model=self.prompt.model or context.model,
            model=model,
            provider=provider,
            text=text_of(items) if items else "".join(self._texts),
            items=items,
            status=status,
            finish_reason=finish_reason,
            usage=_usage_of(attempts) or usage,
            fallback_used=provider is not None
            and model != (context.preferred_model or context.model),
            latency_seconds=self._seconds(),
            time_to_first_token_seconds=self._first_token_seconds,
            attempts=attempts,
            error=error,
            metadata=context.metadata,
            is_background=context.is_background,
            credential=context.credential,
        )


def interrupted(context: ChatRequestContext, prompt: Prompt) -> Interaction:
    """Return the interaction of a request that was received and has no known answer."""
    return Interaction(
        id=context.id,
        user_id=context.user_id,
        conversation_id=context.conversation_id,
        previous_id=context.previous_id,
        prompt=prompt.for_storage(),
        requested_model=prompt.model or context.model,
        model=context.model,
        status=Status.INTERRUPTED,
        latency_seconds=0.0,
        metadata=context.metadata,
        is_background=context.is_background,
        credential=context.credential,
    )


def _usage_of(attempts: Sequence[Attempt]) -> Usage | None:
    """Return the usage of all attempts; None if no provider reported any."""
    reported = [attempt.usage for attempt in attempts if attempt.usage is not None]
    return total_usage(reported) if reported else None

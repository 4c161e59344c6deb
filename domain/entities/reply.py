"""Events of a model's answer, and its token usage."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from domain.entities.bounds import MAX_COUNT, is_amount, is_count
from domain.entities.items import ProviderMetadata, ToolCall
from domain.immutable import immutable

_Number = TypeVar("_Number", int, float)


class FinishReason(StrEnum):
    """Reason why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@immutable
class Usage:
    """Tokens and price of one call, or the sum of several. None if not reported; values are never estimated.

    Numbers outside the bounds of `bounds` become None, so that every store can hold the rest.

    Attributes:
        output_tokens: Tokens billed as output, reasoning included.
        reasoning_tokens: Part of `output_tokens`.
        cached_input_tokens: Part of `input_tokens`, read from the provider's cache.
        cache_write_tokens: Part of `input_tokens`, written to the provider's cache.
        hour_cache_write_tokens: Part of `cache_write_tokens`, written for an hour. Needed for the price alone, which
            removes it; it is not stored.
        cost_usd: Price in US dollars; None if unknown.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    hour_cache_write_tokens: int | None = None
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        counts = (
            self.input_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.total_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.hour_cache_write_tokens,
        )
        if not _TYPES_OF_COUNTS.issuperset(map(type, counts)) or not (
            min(filter(None, counts), default=0) >= 0
            and max(filter(None, counts), default=0) <= MAX_COUNT
        ):
            self._drop_invalid_counts()
        if self.cost_usd is not None and not is_amount(self.cost_usd):
            object.__setattr__(self, "cost_usd", None)

    def _drop_invalid_counts(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and not is_count(value):
                object.__setattr__(self, name, None)

    @property
    def is_reported(self) -> bool:
        """Whether any count or price is known, those of the cache aside."""
        return (
            self.total_tokens is not None
            or self.input_tokens is not None
            or self.output_tokens is not None
            or self.cost_usd is not None
            or self.reasoning_tokens is not None
        )


_TYPES_OF_COUNTS = frozenset({int, type(None)})
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "hour_cache_write_tokens",
)
NO_USAGE = Usage()


def total_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sum of `usages`; a count that none of them reports stays None.

    If only some report a total, input plus output counts as the total of the others, so that the sum is not less
    than its parts.
    """
    reported = [usage for usage in usages if usage.is_reported]
    if len(reported) < 2:
        return reported[0] if reported else NO_USAGE
    has_total = any(usage.total_tokens is not None for usage in reported)
    return Usage(
        input_tokens=_sum(usage.input_tokens for usage in reported),
        output_tokens=_sum(usage.output_tokens for usage in reported),
        reasoning_tokens=_sum(usage.reasoning_tokens for usage in reported),
        total_tokens=_sum(map(_total_tokens, reported)) if has_total else None,
        cached_input_tokens=_sum(usage.cached_input_tokens for usage in reported),
        cache_write_tokens=_sum(usage.cache_write_tokens for usage in reported),
        cost_usd=_sum(usage.cost_usd for usage in reported),
    )


def _total_tokens(usage: Usage) -> int | None:
    if usage.total_tokens is not None:
        return usage.total_tokens
    return _sum((usage.input_tokens, usage.output_tokens))


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


@immutable
class ProviderSelected:
    """The provider and model that answer: the first event of every stream, and of every new attempt within it.

    Attributes:
        provider: Name of the provider in the catalogue.
        model: Catalogue id of the model.
        continues: Whether the text that follows is appended to the text so far; otherwise it replaces it.
    """

    provider: str
    model: str
    continues: bool = False


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A non-empty piece of the model's reasoning.

    Restarts the idle timeout; does not count as first text.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataReceived:
    """Provider metadata of the text or reasoning before it, which ends that item.

    Attributes:
        is_reasoning: It belongs to the reasoning since the last item; otherwise to text.
        characters: With text: how many of the last characters the item consists of; 0 for an item without text.
    """

    metadata: ProviderMetadata
    is_reasoning: bool = False
    characters: int = 0


@dataclass(frozen=True, slots=True)
class AnswerProgress:
    """The model is working without producing text.

    Restarts the idle timeout.

    Attributes:
        is_call: It is writing a tool call, which ends the wait for the first text as the complete call would; until
            then nothing was given out.
    """

    is_call: bool = False


PROGRESS = AnswerProgress()
CALL_PROGRESS = AnswerProgress(is_call=True)


@immutable
class Reply:
    """The end of an answer: the last event of every stream.

    Attributes:
        was_cut_at_limit: The answer exceeded the maximum length of a stored answer and was ended there.
    """

    finish_reason: FinishReason
    usage: Usage = NO_USAGE
    was_cut_at_limit: bool = False


AnswerEvent = (
    ProviderSelected | str | ReasoningDelta | ToolCall | MetadataReceived | AnswerProgress | Reply
)
"""An event of an answer's stream; a str is a piece of text. A `ToolCall` is complete, and counts as first text."""

WORDS = (str, ToolCall)
"""Classes of events that the caller receives as the answer; the first of them ends the wait for the first text."""

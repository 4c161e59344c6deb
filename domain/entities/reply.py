"""What comes back from a model."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from domain.entities.bounds import is_amount, is_count

_Number = TypeVar("_Number", int, float)


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and price of one call, or of several together; None is what no provider reported, never a guess.

    A number out of all bounds says nothing either: it becomes None, so that no store has to refuse it.

    Attributes:
        output_tokens: What is billed as output, thoughts included.
        reasoning_tokens: The thoughts' share of `output_tokens`.
        cost_usd: US dollars; None when no price is known.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and not is_count(value):
                object.__setattr__(self, name, None)
        if self.cost_usd is not None and not is_amount(self.cost_usd):
            object.__setattr__(self, "cost_usd", None)

    @property
    def is_reported(self) -> bool:
        """Whether any count or price is known; how much of an unknown input was cached says nothing."""
        return (
            self.total_tokens is not None
            or self.input_tokens is not None
            or self.output_tokens is not None
            or self.cost_usd is not None
            or self.reasoning_tokens is not None
        )


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cached_input_tokens",
)
NO_USAGE = Usage()


def total_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sum of `usages`; a count that none of them reports stays None.

    Where only some report a total, the others count in it with their input and output: a sum that left them out
    would be less than its parts.
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
        cost_usd=_sum(usage.cost_usd for usage in reported),
    )


def _total_tokens(usage: Usage) -> int | None:
    if usage.total_tokens is not None:
        return usage.total_tokens
    return _sum((usage.input_tokens, usage.output_tokens))


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSelected:
    """Who is about to speak: the first piece of every stream, and of every new attempt within it.

    Attributes:
        provider: The provider's name in the catalogue.
        model: The catalogue id of the model.
        continues: True: what follows is appended to the text so far. False: it replaces it.
    """

    provider: str
    model: str
    continues: bool = False


@dataclass(frozen=True, slots=True)
class AnswerProgress:
    """The model is at work without text to show: it reasons, or prepares a call.

    Counts as life within an answer, and not as its first text.
    """


PROGRESS = AnswerProgress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How an answer ended: the last piece of every stream.

    Attributes:
        was_cut_at_limit: The answer was longer than we keep, and broken off there.
    """

    finish_reason: FinishReason
    usage: Usage = NO_USAGE
    was_cut_at_limit: bool = False


AnswerEvent = ProviderSelected | str | AnswerProgress | Reply
"""What the stream of one answer consists of; a str is text."""

"""What comes back from a model."""

from dataclasses import dataclass
from enum import StrEnum

from domain.entities.bounds import is_amount, is_count


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and price of one call; None is what the provider did not say, never a guess.

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


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cached_input_tokens",
)
NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
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
class Progress:
    """The model is at work without text to show: it reasons, or prepares a call.

    Counts as life within an answer, and not as its first text.
    """


PROGRESS = Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How an answer ended: the last piece of every stream.

    Attributes:
        cut_by_us: The answer was longer than we keep, and broken off there.
    """

    finish_reason: FinishReason
    usage: Usage = NO_USAGE
    cut_by_us: bool = False


ReplyPiece = Answering | str | Progress | Reply
"""What the stream of one answer consists of; a str is text."""

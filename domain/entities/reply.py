"""What comes back from a model."""

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and price of one call; None is what the provider did not say, never a guess.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How an answer ended: the last piece of every stream.

    Attributes:
        cut_by_us: The answer was longer than we keep, and broken off there.
    """

    finish_reason: FinishReason
    usage: Usage = NO_USAGE
    cut_by_us: bool = False

"""The interface of the parsers of answers."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.reply import FinishReason, Usage


class AnswerReader(Protocol):
    """Reads the JSON documents of one answer in order; one instance per answer.

    Attributes:
        finish_reason: None until the provider sends one; `ERROR` where the answer is unusable. `CONTENT_FILTER` is not
            replaced by a later reason.
        is_reason_unknown: The provider sent an unknown reason; `done` decides about its meaning.
        has_progress: A document without text showed the model at work, as with a thought. Not reset by the reader.
    """

    finish_reason: FinishReason | None
    is_reason_unknown: bool
    has_progress: bool

    @abstractmethod
    def take(self, document: object) -> str:
        """Return the answer's text in `document`, which may be empty.

        Raises:
            ErrorInAnswer: The document is an error, or contains one.
            UnreadableAnswer: It has a wrong shape.
        """
        ...

    @abstractmethod
    def done(self) -> None:
        """Record the explicit end of the answer."""
        ...

    @abstractmethod
    def usage(self) -> Usage:
        """Return the last counts received."""
        ...


def count(value: object) -> int | None:
    """Return a provider's count if it is valid, else None: an invalid count is no failure of an answer."""
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def price_usd(value: object) -> float | None:
    """Return the cost that a provider reports for one call if it is valid, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MOST_USD else None


_MOST_TOKENS = 1_000_000_000  # a hundred times the largest context window
_MOST_USD = (
    100_000.0  # so many tokens at a hundred dollars a million, which is more than any model costs
)

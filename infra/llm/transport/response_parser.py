"""What the transport needs to know of one provider's answers."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.reply import FinishReason, Usage


class AnswerReader(Protocol):
    """Reads the JSON documents of one answer in the order they came; made anew for each answer.

    Attributes:
        finish_reason: Why the model stopped; None until the provider has said so, `ERROR` when it stopped for a
            reason that leaves the answer unusable. A block stays, whatever reason comes after it.
        is_reason_unknown: It gave a reason in a word that is not known. What that means is open until `done`.
        has_progress: A document without text showed that the model is at work, as with a thought. Never reset here.
    """

    finish_reason: FinishReason | None
    is_reason_unknown: bool
    has_progress: bool

    @abstractmethod
    def take(self, document: object) -> str:
        """Return the answer's text in `document`, which may be empty.

        Raises:
            ErrorInAnswer: The document is an error, or holds one.
            UnreadableAnswer: It has a wrong shape.
        """
        ...

    @abstractmethod
    def done(self) -> None:
        """Take note that the provider said in so many words that the answer is over."""
        ...

    @abstractmethod
    def usage(self) -> Usage:
        """Return the last counts that came."""
        ...


def count(value: object) -> int | None:
    """Return a provider's count if it can be one, else None: a wrong count does not spoil an answer."""
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def price_usd(value: object) -> float | None:
    """Return what a provider says it charges for one call if it can be that, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MOST_USD else None


_MOST_TOKENS = 1_000_000_000  # a hundred times the largest context window there is
_MOST_USD = 100_000.0  # for so many tokens at a hundred dollars a million, which is more than any model costs

"""The interface of the parsers of answers."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.entities.items import call_id
from domain.entities.reply import AnswerEvent, FinishReason, Usage
from infra.llm.transport.body_decoder import BodyDecoder
from infra.llm.transport.sse_decoder import EventDecoder

Received = str | Sequence[AnswerEvent]
"""What a part of an answer contains: text alone, or several events in order."""


class AnswerReader(Protocol):
    """Reads the JSON documents of one answer in order; one instance per answer.

    Attributes:
        finish_reason: None until the provider sends one; `ERROR` where the answer is unusable. `CONTENT_FILTER` is not
            replaced by a later reason.
        is_reason_unknown: The provider sent an unknown reason; `done` decides about its meaning.
        has_progress: A document without text showed the model at work, as with a part of a call. Not reset by the
            reader.
    """

    finish_reason: FinishReason | None
    is_reason_unknown: bool
    has_progress: bool

    def new_decoder(self, max_event_bytes: int) -> BodyDecoder:
        """Return a decoder of the body, which refuses longer events; unless overridden, of server-sent events."""
        return EventDecoder(max_event_bytes)

    @property
    @abstractmethod
    def held_bytes(self) -> int:
        """Size of what is not complete yet, such as calls."""
        ...

    @abstractmethod
    def take(self, document: object) -> Received:
        """Return the text or the events in `document`; empty if there are none. Calls are complete.

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
    def rest(self) -> Sequence[AnswerEvent]:
        """Return the events that only the end of the answer completes, such as calls that arrived in parts.

        Called once, at the end of an answer that did not break off. Calls that were cut are not among them.
        """
        ...

    @abstractmethod
    def usage(self) -> Usage:
        """Return the last counts received."""
        ...


NO_INTERACTION = "00000000-0000-7000-8000-000000000000"
"""For readers of answers that belong to no interaction."""


class CallIds:
    """Creates ids for the calls of one answer whose provider sent none.

    Args:
        interaction_id: Interaction that the answer belongs to.
    """

    __slots__ = ("_created", "_interaction_id")

    def __init__(self, interaction_id: str) -> None:
        self._interaction_id = interaction_id
        self._created = 0

    def __call__(self) -> str:
        number = self._created
        self._created += 1
        return call_id(self._interaction_id, number)


def count(value: object) -> int | None:
    """Return a provider's count if it is valid, else None: an invalid count does not fail an answer."""
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

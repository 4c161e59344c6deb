"""What a reader of history asks for, and the page that answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.entities.interaction import Interaction, Status


class Order(StrEnum):
    """By id, and so by time."""

    DESC = "desc"
    ASC = "asc"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which of a user's interactions; None and empty leave a field free.

    Attributes:
        statuses: Any of these; empty means those with an answer (`Interaction.is_answered`).
        from_id: Only ids not below this one.
        to_id: Only ids below this one.
        words: All of them occur in the question or the answer; in the form of `words_of`.
    """

    model: str | None = None
    provider: str | None = None
    conversation_id: str | None = None
    statuses: frozenset[Status] = frozenset()
    from_id: str | None = None
    to_id: str | None = None
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """One page of one user's history.

    Attributes:
        user_id: Authorised before the query was made; every store applies it as an equality.
        limit: 1 to 100.
        after_id: The last id of the page before; the page starts behind it, in `order`.
    """

    user_id: str
    filter: HistoryFilter = HistoryFilter()
    order: Order = Order.DESC
    limit: int = 20
    after_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Interactions in the query's order.

    A page may be short, even empty, and still have a next one: a store that looked through much for little stops there.

    Attributes:
        next_id: `after_id` of the page that follows; None when this is the last.
    """

    interactions: Sequence[Interaction]
    next_id: str | None = None

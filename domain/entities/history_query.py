"""Queries of a user's history, and pages of results."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.entities.interaction import Interaction, Status


class Order(StrEnum):
    """Sort order by id, which is the order of receipt."""

    DESC = "desc"
    ASC = "asc"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Conditions on a user's interactions; None and empty values match all.

    Attributes:
        statuses: Allowed statuses; empty for interactions with an answer (`Interaction.is_answered`).
        from_id: Smallest id, inclusive.
        to_id: Upper bound of the ids, exclusive.
        words: Words that must all occur in the question or the answer, in the form of `words_of`.
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
    """Query for one page of a user's history.

    Attributes:
        user_id: Already authorised; every store filters by equality.
        limit: 1 to 100.
        after_id: Last id of the previous page; the page starts behind it, in `order`.
    """

    user_id: str
    filter: HistoryFilter = HistoryFilter()
    order: Order = Order.DESC
    limit: int = 20
    after_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of interactions, in the query's order.

    A page may be short or even empty and still have a next one: a store limits how many rows it reads for one page.

    Attributes:
        next_id: `after_id` of the next page; None on the last page.
    """

    interactions: Sequence[Interaction]
    next_id: str | None = None

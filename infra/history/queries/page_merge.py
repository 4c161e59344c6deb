"""One page out of several, of places that overlap."""

from collections.abc import Sequence

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, Status


def merged(query: HistoryQuery, pages: Sequence[Page]) -> Page:
    """Return the page of `query` over all places whose own pages of it are given.

    Where a place has more, it is known only up to its `next_id`: beyond the nearest of these nothing is shown yet.
    """
    is_newest_first = query.order is Order.DESC
    ends = [page.next_id for page in pages if page.next_id is not None]
    end = (max(ends) if is_newest_first else min(ends)) if ends else None
    by_id: dict[str, Interaction] = {}
    for page in pages:
        for found in page.interactions:
            if end is None or (found.id >= end if is_newest_first else found.id <= end):
                by_id[found.id] = better(by_id.get(found.id), found)
    shown = [by_id[key] for key in sorted(by_id, reverse=is_newest_first)]
    if len(shown) > query.limit:
        shown = shown[: query.limit]
        end = shown[-1].id
    return Page(interactions=shown, next_id=end)


def better(one: Interaction | None, other: Interaction) -> Interaction:
    """Return which of two copies is right: an outcome before an interruption, else they are the same."""
    return other if one is None or one.status is Status.INTERRUPTED else one

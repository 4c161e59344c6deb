"""Merging of pages from several overlapping sources."""

from collections.abc import Sequence

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, Status


def merged(query: HistoryQuery, pages: Sequence[Page]) -> Page:
    """Return the page of `query` over all sources, from each source's own page of it.

    A source with more results is known only up to its `next_id`; the page ends at the nearest of these.
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


def better(first: Interaction | None, other: Interaction) -> Interaction:
    """Return the copy to show: an outcome rather than an interruption; otherwise both are the same."""
    return other if first is None or first.status is Status.INTERRUPTED else first

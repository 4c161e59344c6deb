"""Merging of pages from several overlapping sources."""

from collections.abc import Iterable, Sequence

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import PROVISIONAL, Interaction, replaces


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
    """Return the copy to show: the one that `replaces` the other; otherwise both are the same."""
    return other if first is None or replaces(other.status, first.status) else first


def provisional_ids(page: Page) -> list[str]:
    """Return the ids of the interactions of a page of which another source may hold a later copy."""
    return [found.id for found in page.interactions if found.status in PROVISIONAL]


def without_replaced(page: Page, copies: Iterable[Interaction]) -> Page:
    """Return the page without interactions that one of `copies` replaces.

    A filter by status or model may match an interaction in one source, and not its outcome in another.
    """
    status_by_id = {found.id: found.status for found in page.interactions}
    replaced = {
        copy.id
        for copy in copies
        if copy.id in status_by_id and replaces(copy.status, status_by_id[copy.id])
    }
    if not replaced:
        return page
    shown = [found for found in page.interactions if found.id not in replaced]
    return Page(interactions=shown, next_id=page.next_id)

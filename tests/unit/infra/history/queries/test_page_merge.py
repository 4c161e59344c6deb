"""A walk over several places that overlap sees each interaction once and in order."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, Status
from infra.history.queries.page_merge import merged, provisional_ids, without_replaced
from tests.fakes.interactions import an_id, an_interaction

QUERY = HistoryQuery(user_id="ana")

places = st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=3)


def page_of(numbers: set[int], query: HistoryQuery, looked_through: int) -> Page:
    """Return one place's page: it looks through so many rows at most and shows only even ones, as a filter would."""
    is_newest_first = query.order is Order.DESC
    left = [
        number
        for number in sorted(numbers, reverse=is_newest_first)
        if query.after_id is None
        or (an_id(number) < query.after_id if is_newest_first else an_id(number) > query.after_id)
    ]
    seen = left[:looked_through]
    shown = [number for number in seen if number % 2 == 0]
    next_id = an_id(seen[-1]) if len(left) > looked_through else None
    if len(shown) > query.limit:
        shown = shown[: query.limit]
        next_id = an_id(shown[-1])
    return Page(interactions=[an_interaction(number) for number in shown], next_id=next_id)


@given(places, st.integers(1, 5), st.integers(1, 7), st.sampled_from(Order))
def test_a_walk_sees_each_once_and_in_order(
    held: list[set[int]], limit: int, looked_through: int, order: Order
) -> None:
    query = replace(QUERY, limit=limit, order=order)
    found: list[Interaction] = []
    while True:
        page = merged(query, [page_of(numbers, query, looked_through) for numbers in held])
        assert len(page.interactions) <= limit
        found.extend(page.interactions)
        if page.next_id is None:
            break
        query = replace(query, after_id=page.next_id)

    there = sorted({number for numbers in held for number in numbers if number % 2 == 0})
    assert found == [an_interaction(n) for n in (there if order is Order.ASC else there[::-1])]


def test_an_outcome_wins_over_an_interruption() -> None:
    outcome, interruption = an_interaction(1), an_interaction(1, status=Status.INTERRUPTED)
    for pages in ([outcome, interruption], [interruption, outcome]):
        assert merged(QUERY, [Page(interactions=[one]) for one in pages]).interactions == [outcome]


def test_an_interruption_wins_over_an_answer_in_progress() -> None:
    interruption = an_interaction(1, status=Status.INTERRUPTED)
    running = an_interaction(1, status=Status.IN_PROGRESS)
    for pages in ([running, interruption], [interruption, running]):
        shown = merged(QUERY, [Page(interactions=[one]) for one in pages]).interactions
        assert shown == [interruption]


def test_a_later_copy_elsewhere_takes_an_interaction_off_the_page() -> None:
    statuses = (Status.IN_PROGRESS, Status.INTERRUPTED, Status.COMPLETED, Status.IN_PROGRESS)
    shown = [an_interaction(number, status=status) for number, status in enumerate(statuses)]
    page = Page(interactions=shown, next_id=an_id(3))
    copies = [
        an_interaction(0, status=Status.FAILED),
        an_interaction(1, status=Status.IN_PROGRESS),
        an_interaction(2, status=Status.INTERRUPTED),
        an_interaction(3, status=Status.IN_PROGRESS),
        an_interaction(4),
    ]
    assert provisional_ids(page) == [an_id(0), an_id(1), an_id(3)]
    assert without_replaced(page, copies) == Page(interactions=shown[1:], next_id=an_id(3))

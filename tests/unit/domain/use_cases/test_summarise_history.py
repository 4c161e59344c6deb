"""Statistics are sorted by their key, whatever order the store returns."""

import pytest

from domain.entities.statistics import DAY_MILLISECONDS, GroupBy, StatisticsQuery
from domain.exceptions import HistoryUnreadable
from domain.use_cases.summarise_history import SummariseHistory
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_interaction


async def a_history() -> InMemoryHistory:
    history = InMemoryHistory()
    await history.append_many(
        [
            an_interaction(2 * DAY_MILLISECONDS, model="b", provider=None),
            an_interaction(0, model="c", provider="y"),
            an_interaction(1, model="a", provider="x"),
            an_interaction(DAY_MILLISECONDS, model="b", provider="y"),
            an_interaction(2, model="d", provider="z", user_id="bob"),
        ]
    )
    return history


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (GroupBy.DAY, [("2026-11-22", 2), ("2026-11-23", 1), ("2026-11-24", 1)]),
        (GroupBy.MODEL, [("a", 1), ("b", 2), ("c", 1)]),
        (GroupBy.PROVIDER, [("x", 1), ("y", 2), (None, 1)]),
    ],
)
async def test_groups_are_sorted_by_key_and_the_one_without_a_key_is_last(
    by: GroupBy, groups: list[tuple[str | None, int]]
) -> None:
    found = await SummariseHistory(await a_history())(StatisticsQuery(user_id="ana", by=by))
    assert [(group.key, group.interactions) for group in found] == groups


async def test_a_user_without_interactions_has_no_groups() -> None:
    assert await SummariseHistory(await a_history())(StatisticsQuery(user_id="eve")) == []


async def test_a_store_that_cannot_be_read_is_an_error() -> None:
    history = await a_history()
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await SummariseHistory(history)(StatisticsQuery(user_id="ana"))

"""A page of history can wait until a given interaction is visible."""

import pytest

from domain.entities.history_query import HistoryQuery
from domain.exceptions import HistoryUnreadable
from domain.use_cases.search_history import SearchHistory
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

QUERY = HistoryQuery(user_id="ana")


class VisibleAfterWaiting(InMemoryHistory):
    """An interaction becomes visible while a reader waits for it.

    Attributes:
        waits_seconds: Bounds of all waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits_seconds: list[float] = []

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        self.waits_seconds.append(seconds)
        await self.append(an_interaction(1))
        return await super().wait_for(user_id, interaction_id, seconds=0.0)


async def test_the_page_is_the_query_s() -> None:
    history = InMemoryHistory()
    await history.append_many([an_interaction(number) for number in range(3)])
    await history.append(an_interaction(3, user_id="bob"))
    page, is_complete = await SearchHistory(history)(HistoryQuery(user_id="ana", limit=2))
    assert [interaction.id for interaction in page.interactions] == [an_id(2), an_id(1)]
    assert page.next_id == an_id(1)
    assert is_complete


async def test_a_page_that_waited_holds_what_it_waited_for() -> None:
    history = VisibleAfterWaiting()
    page, is_complete = await SearchHistory(history)(QUERY, with_id=an_id(1), wait_seconds=5.0)
    assert [interaction.id for interaction in page.interactions] == [an_id(1)]
    assert is_complete
    assert history.waits_seconds == [5.0]


async def test_a_page_that_names_no_interaction_does_not_wait() -> None:
    history = VisibleAfterWaiting()
    assert (await SearchHistory(history)(QUERY, wait_seconds=5.0))[1]
    assert history.waits_seconds == []


@pytest.mark.parametrize(("user_id", "is_complete"), [("ana", True), ("bob", False)])
async def test_only_an_interaction_of_the_user_makes_a_page_complete(
    user_id: str, is_complete: bool
) -> None:
    history = InMemoryHistory()
    await history.append(an_interaction(1))
    query = HistoryQuery(user_id=user_id)
    assert (await SearchHistory(history)(query, with_id=an_id(1)))[1] is is_complete


async def test_without_the_interaction_in_time_there_is_a_page_all_the_same() -> None:
    history = InMemoryHistory()
    await history.append(an_interaction(1))
    page, is_complete = await SearchHistory(history)(QUERY, with_id=an_id(2))
    assert [interaction.id for interaction in page.interactions] == [an_id(1)]
    assert not is_complete


async def test_a_store_that_cannot_be_read_is_an_error() -> None:
    history = InMemoryHistory()
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await SearchHistory(history)(QUERY)

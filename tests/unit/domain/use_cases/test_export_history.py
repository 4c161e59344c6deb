"""An export holds all of a user's interactions, each once, or ends with an error."""

from collections.abc import Sequence

import pytest

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, Status
from domain.exceptions import HistoryUnreadable
from domain.use_cases.export_history import PAUSE_SECONDS, TRIES_PER_PAGE, ExportHistory
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

SECONDS = 60.0
"""Age of the interaction 0 when an export begins; that of the interaction n is n milliseconds less."""


def later_clock() -> FakeClock:
    clock = FakeClock()
    clock.advance(SECONDS)
    return clock


async def filled(count: int, **changes: object) -> InMemoryHistory:
    history = InMemoryHistory()
    await history.append_many([an_interaction(number, **changes) for number in range(count)])
    return history


async def exported(
    history: InMemoryHistory, clock: FakeClock | None = None
) -> list[Sequence[Interaction]]:
    export = ExportHistory(history=history, clock=clock or later_clock())
    return [page async for page in export("ana")]


def ids(pages: list[Sequence[Interaction]]) -> list[str]:
    return [interaction.id for page in pages for interaction in page]


class FailingReads(InMemoryHistory):
    """Some reads fail.

    Attributes:
        failing: Numbers of the reads that fail, from 1.
    """

    def __init__(self, *failing: int) -> None:
        super().__init__()
        self.failing = failing

    async def search(self, query: HistoryQuery) -> Page:
        self.is_unreadable = self.searches + 1 in self.failing
        return await super().search(query)


async def test_all_interactions_are_exported_once_and_oldest_first() -> None:
    history = await filled(250)
    assert ids(await exported(history)) == [an_id(number) for number in range(250)]


async def test_interactions_of_every_status_are_exported() -> None:
    history = InMemoryHistory()
    for number, status in enumerate(Status):
        await history.append(an_interaction(number, status=status, text=""))
    assert len(ids(await exported(history))) == len(Status)


async def test_another_user_s_interactions_are_not_exported() -> None:
    history = await filled(1, user_id="bob")
    assert ids(await exported(history)) == []


async def test_the_export_ends_with_the_millisecond_in_which_it_began() -> None:
    history = InMemoryHistory()
    begin = round(SECONDS * 1000)
    await history.append_many([an_interaction(begin + number) for number in (-1, 0, 1)])
    assert ids(await exported(history)) == [an_id(begin - 1), an_id(begin)]


async def test_what_arrives_during_the_export_is_not_part_of_it() -> None:
    history, clock = await filled(30), later_clock()
    export = ExportHistory(history=history, clock=clock)("ana")
    pages = [await anext(export)]
    clock.advance(1.0)
    await history.append(an_interaction(round(SECONDS * 1000) + 500))
    pages += [page async for page in export]
    assert ids(pages) == [an_id(number) for number in range(30)]


async def test_pages_of_short_texts_grow_to_a_hundred() -> None:
    pages = await exported(await filled(300))
    assert [len(page) for page in pages] == [10, 20, 40, 80, 100, 50]


@pytest.mark.parametrize(
    ("characters", "sizes"),
    [
        (30_000, [10] * 3),
        (110_000, [10, 2, 4, 4, 4, 4, 2]),
        (600_000, [10, 2, 1, 1, 1, 1]),
    ],
)
async def test_pages_of_long_texts_shrink(characters: int, sizes: list[int]) -> None:
    pages = await exported(await filled(sum(sizes), text="x" * characters))
    assert [len(page) for page in pages] == sizes


async def test_pages_are_not_read_ahead() -> None:
    history = await filled(30)
    export = ExportHistory(history=history, clock=later_clock())("ana")
    await anext(export)
    assert history.searches == 1
    await export.aclose()


async def test_a_later_page_that_cannot_be_read_is_retried_after_pauses() -> None:
    history, clock = FailingReads(2, 3, 4), later_clock()
    await history.append_many([an_interaction(number) for number in range(30)])
    assert ids(await exported(history, clock)) == [an_id(number) for number in range(30)]
    assert clock.slept == [PAUSE_SECONDS] * 3


async def test_a_page_that_stays_unreadable_ends_the_export_with_an_error() -> None:
    history, clock = FailingReads(*range(2, 100)), later_clock()
    await history.append_many([an_interaction(number) for number in range(30)])
    pages = []
    with pytest.raises(HistoryUnreadable):
        async for page in ExportHistory(history=history, clock=clock)("ana"):
            pages.append(page)
    assert len(ids(pages)) == 10
    assert history.searches == 1 + TRIES_PER_PAGE


async def test_a_first_page_that_cannot_be_read_is_an_error_at_once() -> None:
    history, clock = FailingReads(1), later_clock()
    with pytest.raises(HistoryUnreadable):
        await exported(history, clock)
    assert clock.slept == []

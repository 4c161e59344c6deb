"""An interaction can be read by its user only."""

import pytest

from domain.entities.interaction import Status
from domain.exceptions import HistoryUnreadable, NotFound
from domain.use_cases.read_interaction import ReadInteraction
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction


@pytest.mark.parametrize("status", Status)
async def test_an_interaction_of_any_status_is_read(status: Status) -> None:
    history, interaction = InMemoryHistory(), an_interaction(1, status=status, text="")
    await history.append(interaction)
    assert await ReadInteraction(history)("ana", an_id(1)) == interaction


@pytest.mark.parametrize(("user_id", "number"), [("ana", 2), ("bob", 1)])
async def test_an_id_without_an_interaction_of_this_user_is_not_found(
    user_id: str, number: int
) -> None:
    history = InMemoryHistory()
    await history.append(an_interaction(1))
    with pytest.raises(NotFound):
        await ReadInteraction(history)(user_id, an_id(number))


async def test_a_store_that_cannot_be_read_does_not_mean_not_found() -> None:
    history = InMemoryHistory()
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await ReadInteraction(history)("ana", an_id(1))

"""Conversations are listed page by page, most recently active first."""

import pytest

from domain.entities.conversation import ConversationQuery, ConversationRecord
from domain.exceptions import HistoryUnreadable
from domain.use_cases.list_conversations import ListConversations
from tests.fakes.conversation_records import InMemoryConversationRecords
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction


async def a_history() -> InMemoryHistory:
    history = InMemoryHistory()
    turns = ["a", "b", "c", None, "a"]
    await history.append_many(
        [an_interaction(number, conversation_id=turn) for number, turn in enumerate(turns)]
    )
    await history.append(an_interaction(9, user_id="bob", conversation_id="d"))
    return history


async def test_the_conversations_of_a_user_are_listed_by_their_last_turn() -> None:
    page = await ListConversations(await a_history())(ConversationQuery(user_id="ana"))
    assert [(one.id, one.turns, one.last_id) for one in page.conversations] == [
        ("a", 2, an_id(4)),
        ("c", 1, an_id(2)),
        ("b", 1, an_id(1)),
    ]
    assert page.next_id is None


async def test_the_next_page_goes_on_where_the_first_ended() -> None:
    listing = ListConversations(await a_history())
    first = await listing(ConversationQuery(user_id="ana", limit=2))
    second = await listing(ConversationQuery(user_id="ana", limit=2, after_id=first.next_id))
    assert [one.id for one in [*first.conversations, *second.conversations]] == ["a", "c", "b"]
    assert second.next_id is None


async def test_a_store_that_cannot_be_read_is_an_error() -> None:
    history = await a_history()
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await ListConversations(history)(ConversationQuery(user_id="ana"))


async def test_a_given_title_is_shown_instead_of_the_first_prompt() -> None:
    records = InMemoryConversationRecords()
    for user_id, title in (("ana", "Given"), ("bob", "Not hers")):
        record = ConversationRecord(
            user_id=user_id,
            conversation_id="a",
            created_id=an_id(),
            changed_id=an_id(),
            title=title,
        )
        await records.put(record)
    listing = ListConversations(await a_history(), records)
    page = await listing(ConversationQuery(user_id="ana"))
    assert page.conversations[0].title == "Given"
    assert "Given" not in [one.title for one in page.conversations][1:]
    records.is_away = True
    with pytest.raises(HistoryUnreadable):
        await listing(ConversationQuery(user_id="ana"))

"""What every store tells of conversations."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.entities.conversation import OPENING_CHARACTERS, Conversation, ConversationQuery
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.interfaces.history import HistoryRepository
from tests.contracts.history_stores import STORES
from tests.fakes.interactions import an_id, an_interaction


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    async with STORES[request.param](tmp_path) as history:
        yield history


def a_chat_context(number: int, conversation_id: str | None, **changes: object) -> Interaction:
    return an_interaction(number, conversation_id=conversation_id, **changes)


async def listed(
    history: HistoryRepository, *, user_id: str = "ana", limit: int = 100, from_id: str = ""
) -> list[Conversation]:
    """Walk all pages."""
    found: list[Conversation] = []
    query = ConversationQuery(user_id=user_id, limit=limit, from_id=from_id)
    while True:
        page = await history.conversations(query)
        assert len(page.conversations) <= limit
        found += page.conversations
        if page.next_id is None:
            return found
        query = replace(query, after_id=page.next_id)


async def names(history: HistoryRepository, **query: object) -> list[str]:
    return [one.id for one in await listed(history, **query)]  # type: ignore[arg-type]


async def test_last_active_comes_first_with_its_extent(history: HistoryRepository) -> None:
    await history.append_many(
        [
            a_chat_context(1, "a"),
            a_chat_context(2, "b"),
            a_chat_context(3, None),
            a_chat_context(4, "a"),
            a_chat_context(5, "c|d"),
        ]
    )
    assert await listed(history) == [
        Conversation(id="c|d", turns=1, first_id=an_id(5), last_id=an_id(5), opening="question 5"),
        Conversation(id="a", turns=2, first_id=an_id(1), last_id=an_id(4), opening="question 1"),
        Conversation(id="b", turns=1, first_id=an_id(2), last_id=an_id(2), opening="question 2"),
    ]


@pytest.mark.parametrize("limit", [1, 100])
async def test_what_has_expired_is_not_counted(history: HistoryRepository, limit: int) -> None:
    await history.append_many(
        [
            a_chat_context(1, "a"),
            a_chat_context(2, "gone"),
            a_chat_context(3, "b"),
            a_chat_context(4, "a"),
            a_chat_context(5, "a"),
        ]
    )
    assert await listed(history, limit=limit, from_id=an_id(3)) == [
        Conversation(id="a", turns=2, first_id=an_id(4), last_id=an_id(5), opening="question 4"),
        Conversation(id="b", turns=1, first_id=an_id(3), last_id=an_id(3), opening="question 3"),
    ]
    assert await listed(history, limit=limit, from_id=an_id(6)) == []


async def test_the_order_of_arrival_does_not_matter(history: HistoryRepository) -> None:
    for number in (3, 1, 2):
        await history.append(a_chat_context(number, "a" if number != 2 else "b"))
    assert [(one.id, one.first_id, one.last_id) for one in await listed(history)] == [
        ("a", an_id(1), an_id(3)),
        ("b", an_id(2), an_id(2)),
    ]


async def test_every_turn_counts_whatever_became_of_it_and_only_once(
    history: HistoryRepository,
) -> None:
    turns = [a_chat_context(number, "a", status=status) for number, status in enumerate(Status)]
    await history.append_many(turns)
    await history.append_many(turns)
    assert [one.turns for one in await listed(history)] == [len(Status)]


async def test_what_happens_at_once_is_listed_at_once(history: HistoryRepository) -> None:
    for number in range(10):
        await history.append(a_chat_context(number, f"c{number % 3}"))
        (newest, *_) = (await history.conversations(ConversationQuery(user_id="ana"))).conversations
        assert (newest.id, newest.last_id) == (f"c{number % 3}", an_id(number))


async def test_pages_hold_each_conversation_once(history: HistoryRepository) -> None:
    await history.append_many([a_chat_context(n, f"c{n * 7 % 23}") for n in range(200)])
    expected = list(dict.fromkeys(f"c{n * 7 % 23}" for n in reversed(range(200))))
    for limit in (1, 7, 23, 24):
        assert await names(history, limit=limit) == expected


async def test_a_full_page_that_is_the_last_says_so(history: HistoryRepository) -> None:
    await history.append_many([a_chat_context(1, "a"), a_chat_context(2, "b")])
    page = await history.conversations(ConversationQuery(user_id="ana", limit=2))
    assert (len(page.conversations), page.next_id) == (2, None)
    page = await history.conversations(ConversationQuery(user_id="ana", limit=1))
    assert page.next_id == an_id(2)


async def test_one_that_goes_on_during_a_walk_is_not_met_again(history: HistoryRepository) -> None:
    await history.append_many([a_chat_context(n, f"c{n}") for n in range(4)])
    first = await history.conversations(ConversationQuery(user_id="ana", limit=2))
    assert [one.id for one in first.conversations] == ["c3", "c2"]
    await history.append(a_chat_context(9, "c0"))
    rest = await history.conversations(ConversationQuery(user_id="ana", after_id=first.next_id))
    assert [one.id for one in rest.conversations] == ["c1"]


async def test_nobody_sees_somebody_elses(history: HistoryRepository) -> None:
    await history.append_many(
        [a_chat_context(1, "a"), a_chat_context(2, "a", user_id="bob"), a_chat_context(3, "b")]
    )
    assert [(one.id, one.turns) for one in await listed(history)] == [("b", 1), ("a", 1)]
    assert await names(history, user_id="bob") == ["a"]
    assert await names(history, user_id="an") == []


async def test_a_long_prompt_gives_its_start(history: HistoryRepository) -> None:
    prompt = "€🦩" * 500
    await history.append(a_chat_context(1, "a", prompt=Prompt.from_text(prompt)))
    assert [one.opening for one in await listed(history)] == [prompt[:OPENING_CHARACTERS]]


async def test_what_is_erased_does_not_count(history: HistoryRepository) -> None:
    await history.append_many([a_chat_context(n, "a") for n in range(3)] + [a_chat_context(3, "b")])
    assert await names(history) == ["b", "a"]
    await history.erase("ana", an_id(0))
    await history.erase("ana", an_id(2))
    await history.erase("ana", an_id(3))
    assert await listed(history) == [
        Conversation(id="a", turns=1, first_id=an_id(1), last_id=an_id(1), opening="question 1")
    ]
    await history.erase_all("ana", an_id(9))
    assert await listed(history) == []


async def test_a_conversation_longer_than_one_look_hides_no_other(
    history: HistoryRepository,
) -> None:
    """More turns than any store reads at once."""
    await history.append(a_chat_context(0, "short"))
    for start in range(1, 1201, 300):
        await history.append_many([a_chat_context(n, "long") for n in range(start, start + 300)])
    async with asyncio.timeout(60):
        assert [(one.id, one.turns) for one in await listed(history, limit=1)] == [
            ("long", 1200),
            ("short", 1),
        ]

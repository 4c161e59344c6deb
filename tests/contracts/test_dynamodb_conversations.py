"""How many requests it takes to list conversations from DynamoDB."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.entities.conversation import Conversation, ConversationQuery
from domain.entities.interaction import Interaction
from infra.history.dynamodb import conversations as dynamodb_conversations
from infra.history.dynamodb.store import DynamoHistory
from tests.contracts.history_stores import dynamodb
from tests.fakes.interactions import an_id, an_interaction

pytestmark = pytest.mark.seen("D11")

CONVERSATIONS = 100
TURNS = 20
MOST_REQUESTS = 10


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[DynamoHistory]:
    async with dynamodb(tmp_path) as history:
        assert isinstance(history, DynamoHistory)
        yield history


def counting(history: DynamoHistory) -> Counter[str]:
    """Count every request that is sent from now on."""
    requests: Counter[str] = Counter()
    send = history.table._dynamodb

    async def counted(operation: str, **parameters: Any) -> dict[str, Any]:
        requests[operation] += 1
        return await send(operation, **parameters)

    history.table._dynamodb = counted  # type: ignore[assignment]
    return requests


def a_chat_context(number: int, conversation: int) -> Interaction:
    return an_interaction(number, conversation_id=f"c{conversation}")


def one_after_the_other() -> list[Interaction]:
    return [a_chat_context(n, n // TURNS) for n in range(CONVERSATIONS * TURNS)]


def in_turns() -> list[Interaction]:
    return [a_chat_context(n, n % CONVERSATIONS) for n in range(CONVERSATIONS * TURNS)]


def single_ones() -> list[Interaction]:
    return [a_chat_context(n, n) for n in range(CONVERSATIONS * TURNS)]


async def keep(history: DynamoHistory, turns: list[Interaction]) -> None:
    for start in range(0, len(turns), 500):
        await history.append_many(turns[start : start + 500])


def expected(turns: list[Interaction]) -> list[Conversation]:
    by_conversation: dict[str, list[Interaction]] = {}
    for one in turns:
        by_conversation.setdefault(str(one.conversation_id), []).append(one)
    found = [
        Conversation(
            id=name,
            turns=len(of),
            first_id=of[0].id,
            last_id=of[-1].id,
            opening=of[0].prompt.text,
        )
        for name, of in by_conversation.items()
    ]
    return sorted(found, key=lambda one: one.last_id, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("made", [one_after_the_other, in_turns, single_ones])
async def test_a_page_of_100_takes_few_requests_however_turns_are_spread(
    history: DynamoHistory, made: Any
) -> None:
    turns = made()
    await keep(history, turns)
    await history.append_many(turns[:40])  # delivered twice
    wanted = expected(turns)
    query = ConversationQuery(user_id="ana", limit=100)
    listed: list[Conversation] = []
    while True:
        requests = counting(history)
        page = await history.conversations(query)
        assert requests.total() <= MOST_REQUESTS, requests
        listed += page.conversations
        if page.next_id is None or len(listed) >= 300:
            break
        query = replace(query, after_id=page.next_id)
    assert listed == wanted[: len(listed)]
    assert len(listed) == min(300, len(wanted))


@pytest.mark.slow
async def test_what_was_erased_or_has_expired_is_not_listed(history: DynamoHistory) -> None:
    await keep(history, in_turns())
    await history.erase_all("ana", an_id(99))
    for number in (100, 1999):
        await history.erase("ana", an_id(number))
    turns = [one for one in in_turns() if an_id(200) <= one.id < an_id(1999)]
    query = ConversationQuery(user_id="ana", limit=100, from_id=an_id(200))
    assert (await history.conversations(query)).conversations == expected(turns)
    # A late copy of what was erased changes nothing.
    await history.append_many([a_chat_context(3, 3), a_chat_context(1999, 99)])
    assert (await history.conversations(query)).conversations == expected(turns)


@pytest.mark.slow
async def test_with_more_turns_than_are_read_only_the_pages_conversations_are_asked_for(
    history: DynamoHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_conversations, "TURNS_A_QUERY", 10)
    turns = in_turns()[:600]
    await keep(history, turns)
    query = ConversationQuery(user_id="ana", limit=10)
    listed: list[Conversation] = []
    for _ in range(10):
        requests = counting(history)
        page = await history.conversations(query)
        assert requests["query"] <= dynamodb_conversations.QUERIES + 1 + 11 + 2, requests
        listed += page.conversations
        query = replace(query, after_id=page.next_id)
    assert page.next_id is None
    assert listed == expected(turns)

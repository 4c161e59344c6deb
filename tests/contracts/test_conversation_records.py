"""The contract of the records of conversations, in every store."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.entities.conversation import AddedItem, ConversationQuery, ConversationRecord
from domain.entities.history_query import HistoryQuery
from domain.entities.items import (
    Attachment,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Message, Role
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.conversation_records import ConversationRecords
from infra.clock import SystemClock
from infra.history.dynamodb.store import open_dynamo
from infra.history.mongo.store import open_mongo
from infra.history.store.retention import RetainedRecords, Retention
from infra.storage.aws.access import AwsAccess
from tests.contracts.archives import archive_of
from tests.contracts.history_stores import STORES
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_id, an_interaction

UNUSED_PORT = 9
"""discard: no server listens on it, so that connections are refused at once."""
DURABLE = ("sqlite", "mongo", "dynamodb")


@pytest.fixture(params=DURABLE)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with STORES[request.param](tmp_path / "data") as store:
        yield store


@pytest.fixture
def records(store: Any) -> ConversationRecords:
    found: ConversationRecords = store.records
    return found


def a_record(number: int = 0, **fields: Any) -> ConversationRecord:
    """Return a record created by the id `number`."""
    whose = {"user_id": "ana", "conversation_id": "loops", "title": "Loops"}
    made = {"created_id": an_id(number), "changed_id": an_id(number)}
    return ConversationRecord(**{**whose, **made, **fields})


def everything() -> ConversationRecord:
    """Return a record with every kind of item."""
    metadata = ProviderMetadata(kind="signature", family="gemini", value="c2ln")
    answer, question = Role.ASSISTANT, Role.USER
    contents: list[tuple[Role, str, tuple[Any, ...]]] = [
        (question, "Hello \U0001f600 \x01 é", ()),
        (answer, "Hi", ()),
        (answer, "", (Reasoning(text="hm", metadata=metadata),)),
        (answer, "", (ToolCall(id="c1", name="f", arguments='{"a": 1}', metadata=metadata),)),
        (question, "", (ToolResult(call_id="c1", output="[1]", is_json=True, is_error=True),)),
        (
            question,
            "See",
            (Text(text="See"), Attachment(media_type="image/png", url="https://example.com/a")),
        ),
    ]
    items = [
        AddedItem(id=an_id(number), message=Message(role=role, text=text, items=those))
        for number, (role, text, those) in enumerate(contents)
    ]
    items.append(
        AddedItem(
            id=an_id(len(items)),
            message=Message(role=Role.USER, text="Be brief."),
            is_instruction=True,
        )
    )
    return a_record(items=tuple(items), metadata={"topic": "é", "a.b$": ""})


async def listed(records: ConversationRecords, user_id: str | None = None) -> list[tuple[str, str]]:
    return sorted(
        [(record.user_id, record.conversation_id) async for record in records.all(user_id=user_id)]
    )


async def test_a_record_comes_back_as_it_was_put(records: ConversationRecords) -> None:
    assert await records.get("ana", "loops") is None
    await records.put(everything())
    assert await records.get("ana", "loops") == everything()
    assert [record async for record in records.all()] == [everything()]


async def test_the_last_put_wins(records: ConversationRecords) -> None:
    await records.put(everything())
    await records.put(a_record(title="", changed_id=an_id(3)))
    assert await records.get("ana", "loops") == a_record(title="", changed_id=an_id(3))
    assert await records.titles("ana", ["loops"]) == {}


async def test_a_large_record_is_kept(records: ConversationRecords) -> None:
    items = [
        AddedItem(id=an_id(number), message=Message(role=Role.USER, text=f"{number} é " * 200))
        for number in range(200)
    ]
    await records.put(a_record(items=tuple(items)))
    assert await records.get("ana", "loops") == a_record(items=tuple(items))


@pytest.mark.parametrize("other", ["bob", "Ana", "an", "ana2", "ana0", "ana@example.com"])
async def test_records_of_two_users_share_nothing(records: ConversationRecords, other: str) -> None:
    await records.put(a_record())
    assert await records.get(other, "loops") is None
    await records.put(a_record(user_id=other, title="Mine"))
    assert await records.titles("ana", ["loops"]) == {"loops": "Loops"}
    assert await records.titles(other, ["loops", "others"]) == {"loops": "Mine"}
    assert await listed(records, "ana") == [("ana", "loops")]
    await records.erase("ana", "loops")
    await records.erase_all("ana", an_id(9))
    assert await records.get("ana", "loops") is None
    assert await records.get(other, "loops") == a_record(user_id=other, title="Mine")


async def test_all_are_listed(records: ConversationRecords) -> None:
    for number in range(120):
        await records.put(a_record(number, conversation_id=f"c{number}"))
    await records.put(a_record(user_id="bob"))
    assert len(await listed(records)) == 121
    assert len(await listed(records, "ana")) == 120
    assert await listed(records, "carl") == []


async def test_erasing_up_to_a_time_spares_later_records(records: ConversationRecords) -> None:
    for number in range(4):
        record = a_record(number, conversation_id=f"c{number}", changed_id=an_id(5))
        await records.put(record)
    await records.erase_all("ana", an_id(2))
    await records.erase_all("ana", an_id(2))
    assert await listed(records) == [("ana", "c3")]


async def test_a_late_put_loses_against_the_erasure_of_the_user(
    store: Any, records: ConversationRecords
) -> None:
    await records.put(a_record())
    await store.erase_all("ana", an_id(2))
    await records.erase_all("ana", an_id(2))
    await records.put(a_record(1, changed_id=an_id(4)))
    await records.put(a_record(1, conversation_id="other"))
    assert await listed(records) == []
    await records.put(a_record(3))
    assert await listed(records) == [("ana", "loops")]


async def test_records_are_no_interactions(store: Any, records: ConversationRecords) -> None:
    await records.put(everything())
    kept = an_interaction(1, user_id="ana", conversation_id="other")
    await store.append(kept)
    page = await store.search(HistoryQuery(user_id="ana"))
    assert list(page.interactions) == [kept]
    listed = await store.conversations(ConversationQuery(user_id="ana"))
    assert [conversation.id for conversation in listed.conversations] == ["other"]
    groups = await store.statistics(StatisticsQuery(user_id="ana", by=GroupBy.MODEL))
    assert sum(group.interactions for group in groups) == 1
    for user_id in (None, "ana"):
        archived = [page async for page in archive_of(store).pages(user_id=user_id)]
        assert sum(len(page.records) for page in archived) == 1
        assert not any(page.erasures for page in archived)
    assert await store.erase_all("ana", an_id(2)) == 1


async def test_a_record_that_an_erasure_of_the_user_left_behind_is_not_read(
    store: Any, records: ConversationRecords
) -> None:
    """As an erasure by a version without records does, and one that is interrupted."""
    await records.put(a_record(1))
    await records.put(a_record(3, conversation_id="later"))
    await records.put(a_record(1, user_id="bob"))
    await store.erase_all("ana", an_id(2))
    assert await records.get("ana", "loops") is None
    assert await records.titles("ana", ["loops", "later"]) == {"later": "Loops"}
    assert await listed(records) == [("ana", "later"), ("bob", "loops")]
    assert await listed(records, "ana") == [("ana", "later")]
    await records.put(a_record(4))
    assert await records.get("ana", "loops") == a_record(4)


async def test_erasing_the_first_interaction_leaves_the_record(
    store: Any, records: ConversationRecords
) -> None:
    await records.put(a_record(1))
    await store.erase("ana", an_id(1))
    assert await records.get("ana", "loops") == a_record(1)
    renamed = a_record(1, title="More loops", changed_id=an_id(2))
    await records.put(renamed)
    assert await records.get("ana", "loops") == renamed


async def test_half_a_surrogate_pair_is_refused(records: ConversationRecords) -> None:
    with pytest.raises(HistoryUnavailable):
        await records.put(a_record(title="\ud800"))
    assert await listed(records) == []


async def test_expired_records_and_items_are_hidden(records: ConversationRecords) -> None:
    await records.put(everything())
    clock = FakeClock()
    kept = RetainedRecords(records, Retention(1), clock)
    changed = replace(everything(), changed_id=everything().items[-1].id)
    await records.put(changed)
    clock.advance(86_400.006)  # the last item is of the sixth millisecond
    assert await kept.get("ana", "loops") == replace(changed, items=changed.items[-1:])
    clock.advance(0.001)
    assert await kept.get("ana", "loops") is None
    assert [record async for record in kept.all()] == []


@asynccontextmanager
async def mongo_away() -> AsyncIterator[Any]:
    uri = f"mongodb://127.0.0.1:{UNUSED_PORT}"
    async with open_mongo(uri, database="away", clock=SystemClock(), read_seconds=1.0) as history:
        yield history


@asynccontextmanager
async def dynamodb_away() -> AsyncIterator[Any]:
    access = AwsAccess(
        region="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{UNUSED_PORT}",
        access_key_id="a",
        secret_access_key="b",
    )
    async with open_dynamo(access, table="away", clock=SystemClock(), read_seconds=1.0) as history:
        yield history


@pytest.mark.slow
@pytest.mark.parametrize("away", [mongo_away, dynamodb_away])
async def test_a_store_that_is_away_is_reported(
    away: Callable[[], AbstractAsyncContextManager[Any]],
) -> None:
    async with away() as store:
        with pytest.raises(HistoryUnavailable):
            await store.records.put(a_record())
        for call in (
            store.records.get("ana", "loops"),
            store.records.titles("ana", ["loops"]),
            store.records.erase("ana", "loops"),
            store.records.erase_all("ana", an_id()),
            anext(store.records.all()),
        ):
            with pytest.raises(HistoryUnreadable):
                await call

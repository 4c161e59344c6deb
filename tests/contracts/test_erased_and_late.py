"""A late copy of what was erased is never shown, not even in the moment before whoever wrote it removes it again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pymongo
import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.interfaces.history import HistoryRepository
from infra.clock import SystemClock
from infra.history.dynamodb.items import row_of
from infra.history.dynamodb.writes import insert
from infra.history.format.documents import document_of
from infra.history.mongo.queries import stored
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.store.durable_store import DurableStore
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Table
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_stores import MONGO_DATABASE, READ_SECONDS, mongo
from tests.contracts.history_walks import asking, walk
from tests.fakes.interactions import an_id, an_interaction
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

Slip = Callable[[Interaction], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Behind:
    """A store, and a way to put a row there as a writer that has not looked at erasures yet."""

    store: DurableStore
    slip_in: Slip


@asynccontextmanager
async def mongodb(folder: Path) -> AsyncIterator[Behind]:
    async with (
        mongo(folder) as store,
        pymongo.AsyncMongoClient[dict[str, object]](shared_mongo_uri()) as client,
    ):
        interactions = client[MONGO_DATABASE]["interactions"]
        yield Behind(store, lambda one: interactions.insert_one(stored(one, document_of(one))))


@asynccontextmanager
async def dynamodb(_folder: Path) -> AsyncIterator[Behind]:
    stack = deploy_data_stack(shared_emulator())
    access, table = stack.emulator.access, stack.table
    async with (
        open_table(access, table, read_seconds=READ_SECONDS) as store,
        open_client("dynamodb", access, tries=1) as client,
    ):

        async def slip_in(one: Interaction) -> None:
            await insert(Table(client, table), [await row_of(one, orjson.dumps(document_of(one)))])

        yield Behind(store, slip_in)


@pytest.fixture(params=[mongodb, dynamodb])
async def behind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Behind]:
    async with request.param(tmp_path) as behind:
        yield behind


@pytest.fixture(params=["direct", "through an outbox"])
async def history(
    request: pytest.FixtureRequest, behind: Behind, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    if request.param == "direct":
        yield behind.store
        return
    async with open_outbox(
        tmp_path / "host",
        store=behind.store,
        clock=SystemClock(),
        read_seconds=READ_SECONDS,
        min_free_disk_bytes=0,
    ) as outbox:
        yield outbox


async def test_of_an_erased_user_nothing_late_is_seen(
    history: HistoryRepository, behind: Behind
) -> None:
    late, kept = (an_interaction(number, conversation_id="c") for number in (1, 20_000))
    await history.erase_all("ana", an_id(10))
    await history.append(kept)
    await behind.slip_in(late)

    await only(history, kept, not_even=late)


async def test_of_an_erased_interaction_no_late_copy_is_seen(
    history: HistoryRepository, behind: Behind
) -> None:
    late, kept = (an_interaction(number, conversation_id="c") for number in (1, 2))
    await history.append(kept)
    await history.erase("ana", late.id)
    await behind.slip_in(late)

    await only(history, kept, not_even=late)


async def only(history: HistoryRepository, kept: Interaction, *, not_even: Interaction) -> None:
    """Expect every way of reading to know of `kept` alone."""
    assert await history.find("ana", not_even.id) is None
    assert await history.find("ana", kept.id) == kept
    for order in Order:
        assert await walk(history, asking(order=order)) == [kept]
    assert list((await history.recall(asking(conversation_id="c"))).interactions) == [kept]
    (conversation,) = (await history.conversations(ConversationQuery(user_id="ana"))).conversations
    assert (conversation.turns, conversation.first_id) == (1, kept.id)
    (group,) = await history.statistics(StatisticsQuery(user_id="ana", by=GroupBy.MODEL))
    assert group.interactions == 1

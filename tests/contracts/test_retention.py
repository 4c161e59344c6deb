"""What has been kept long enough goes, from every store, and is shown no more even before."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pymongo
import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction, first_id_at
from domain.entities.statistics import DAY_MILLISECONDS, GroupBy, StatisticsQuery
from domain.entities.words import words_of
from domain.interfaces.clock import Clock
from infra.clock import SystemClock
from infra.history.dynamodb.store import open_dynamo
from infra.history.mongo.store import open_mongo
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from infra.history.sqlite.store import SqliteHistory, open_sqlite
from infra.history.sqlite.write_jobs import REMOVED_AT_ONCE
from infra.history.store.retention import RetainedHistory, Retention
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_stores import MONGO_DATABASE, READ_SECONDS, mongo
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.unreliable_store import UnreliableStore
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.dynamodb_items import items_in, noise
from tests.support.mongod import shared_mongo_uri

TEN_DAYS = Retention(10.0)
PATIENCE_SECONDS = 120.0


class FastClock(SystemClock):
    """Begins with the interactions; a test lets its days pass."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_milliseconds = 0

    def now_milliseconds(self) -> int:
        return START_MILLISECONDS + self.passed_milliseconds

    def pass_days(self, days: float) -> None:
        self.passed_milliseconds += round(days * DAY_MILLISECONDS)


def of_day(number: int, **changes: Any) -> Interaction:
    milliseconds = START_MILLISECONDS + number * DAY_MILLISECONDS
    return an_interaction(number, id=an_id(0, milliseconds=milliseconds), **changes)


@asynccontextmanager
async def a_store(folder: Path, clock: Clock) -> AsyncIterator[SqliteHistory]:
    async with open_sqlite(
        folder,
        clock=clock,
        read_seconds=10.0,
        min_free_disk_bytes=0,
        retention=TEN_DAYS,
        expire_seconds=0.02,
    ) as history:
        yield history


async def until_left(history: Any, *expected: Interaction) -> None:
    """Return once exactly this is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await walk(history, asking(order=Order.ASC, statuses=EVERY_STATUS)) != list(expected):
            await asyncio.sleep(0.01)


async def test_the_embedded_store_sweeps_a_few_rows_at_a_time(tmp_path: Path) -> None:
    clock = FastClock()
    async with a_store(tmp_path, clock) as history:
        many = [an_interaction(n) for n in range(2 * REMOVED_AT_ONCE + 7)]
        others = [an_interaction(n, user_id="bob") for n in range(20)]
        await history.append_many([*many, *others, of_day(5), of_day(9)])
        await asyncio.sleep(0.1)
        assert len(await walk(history, asking())) == len(many) + 2
        clock.pass_days(12)
        await until_left(history, of_day(5), of_day(9))
        assert await walk(history, asking(user_id="bob")) == []
        assert await walk(history, asking(words=words_of("question 9"))) == [of_day(9)]
        clock.pass_days(4)
        await until_left(history, of_day(9))
        await history.append(of_day(3))
        await until_left(history, of_day(9))


async def test_an_outbox_drops_what_expired_before_it_was_delivered(tmp_path: Path) -> None:
    clock = FastClock()
    async with open_sqlite(
        tmp_path / "store", clock=clock, read_seconds=10.0, min_free_disk_bytes=0
    ) as behind:
        store = UnreliableStore(behind)
        store.is_away = True

        def opened() -> AbstractAsyncContextManager[Outbox]:
            return open_outbox(
                tmp_path / "host",
                store=store,
                clock=clock,
                read_seconds=10.0,
                min_free_disk_bytes=0,
                housekeeping_seconds=0.02,
                drain_seconds=0.0,
                retention=TEN_DAYS,
            )

        async with opened() as outbox:
            await outbox.append_many([an_interaction(n) for n in range(REMOVED_AT_ONCE + 5)])
            await outbox.append(of_day(9))
            clock.pass_days(12)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while outbox.backlog().rows != 1:
                    await asyncio.sleep(0.01)
            store.is_away = False
            await until_left(behind, of_day(9))
            clock.pass_days(0.1)
            assert await outbox.find("ana", an_id(1)) is None
            assert await outbox.find("ana", of_day(9).id) == of_day(9)


async def test_mongodb_is_told_when_an_interaction_expires(tmp_path: Path) -> None:
    async with (
        mongo(tmp_path),
        open_mongo(
            shared_mongo_uri(),
            database=MONGO_DATABASE,
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            retention=TEN_DAYS,
        ) as history,
    ):
        await history.append(an_interaction(1))
        await history.make_indexes()
        async with pymongo.AsyncMongoClient[dict[str, Any]](shared_mongo_uri()) as client:
            collection = client[MONGO_DATABASE]["interactions"]
            found = await collection.find_one({"_id": an_id(1)})
            assert found is not None
            seconds = found["expiresAt"].replace(tzinfo=UTC).timestamp()
            assert seconds * 1000 == START_MILLISECONDS + 1 + 10 * DAY_MILLISECONDS
            indexes = await collection.index_information()
            assert {"expireAfterSeconds": 0}.items() <= indexes["expiresAt_1"].items()
        assert await history.find("ana", an_id(1)) == an_interaction(1)


async def test_dynamodb_is_told_when_an_interaction_expires() -> None:
    stack = deploy_data_stack(shared_emulator())
    access, table = stack.emulator.access, stack.table
    async with (
        open_table(access, table, read_seconds=READ_SECONDS),
        open_dynamo(
            access,
            table=table,
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            retention=TEN_DAYS,
        ) as history,
    ):
        long = an_interaction(1, text=noise(110_000))
        await history.append_many([long, an_interaction(2)])
        await history.erase("ana", an_id(3))
        items = {f"{one['pk']['S']} {one['sk']['S']}": one for one in await items_in(table)}
        expected = (START_MILLISECONDS + 10 * DAY_MILLISECONDS) // 1000
        parts = [one for name, one in items.items() if name.startswith("P#")]
        assert parts
        for one in (*parts, items[f"U#ana {an_id(1)}"], items[f"U#ana {an_id(2)}"]):
            assert one["expiresAt"] == {"N": str(expected)}
        assert "expiresAt" not in items[f"U#ana {an_id(3)}"], "what was erased is remembered"
        assert await history.find("ana", an_id(1)) == long


async def test_nothing_expired_is_shown_however_late_it_is_removed() -> None:
    clock = FastClock()
    behind = InMemoryHistory()
    history = RetainedHistory(behind, TEN_DAYS, clock)
    for number in range(10):
        await history.append(of_day(number, conversation_id="c" if number else "gone"))
    clock.pass_days(14.5)
    kept = [of_day(n, conversation_id="c") for n in range(5, 10)]

    assert await walk(history, asking(order=Order.ASC)) == kept
    early = asking(order=Order.ASC, from_id=first_id_at(START_MILLISECONDS))
    assert (await history.recall(early)).interactions == kept
    late = asking(order=Order.ASC, from_id=of_day(8).id)
    assert await walk(history, late) == kept[3:]
    (group,) = await history.statistics(StatisticsQuery(user_id="ana", by=GroupBy.MODEL))
    assert group.interactions == 5
    (conversation,) = (await history.conversations(ConversationQuery(user_id="ana"))).conversations
    assert (conversation.id, conversation.turns, conversation.first_id) == ("c", 5, kept[0].id)
    assert await history.find("ana", of_day(4).id) is None
    assert await history.find("ana", of_day(5).id) == kept[0]
    await history.erase("ana", of_day(5).id)
    assert await history.find("ana", of_day(5).id) is None
    assert await history.erase_all("ana", of_day(9).id) == 9


@pytest.mark.parametrize("make", [lambda: Retention(), lambda: Retention(None)])
def test_without_a_setting_nothing_expires(make: Callable[[], Retention]) -> None:
    assert make().first_kept_id(START_MILLISECONDS) == ""
    assert make().expires_milliseconds(an_id()) is None

"""What only the event logs in MongoDB promise: fencing without transactions, and what a death in between leaves."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pymongo
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, LeaseLost, Unstorable
from infra.answers.logs import ERASED_EPOCH
from infra.answers.mongo import logs
from infra.answers.mongo.documents import chunk_id, header_id
from infra.answers.mongo.store import MongoAnswerLog, open_mongo_answers
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_interaction
from tests.support.mongod import shared_mongo_uri

KEEP_SECONDS = 20 * 365 * 86_400.0
ANSWER = BackgroundAnswer(interaction=an_interaction())
KEY = ANSWER.key

Database = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with pymongo.AsyncMongoClient[dict[str, Any]](shared_mongo_uri()) as client:
        yield client[f"answers_{secrets.token_hex(6)}"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def log(database: Database, clock: FakeClock) -> AsyncIterator[MongoAnswerLog]:
    async with open_mongo_answers(
        shared_mongo_uri(),
        database=database.name,
        clock=clock,
        keep_seconds=KEEP_SECONDS,
        read_seconds=10.0,
    ) as log:
        yield log


async def shown(log: MongoAnswerLog, key: AnswerKey = KEY) -> tuple[object, ...]:
    page = await log.read(key, after=-1, limit=100)
    assert page is not None
    return tuple(page.events)


async def begun(log: MongoAnswerLog) -> AnswerLease:
    return await log.begin(ANSWER, lease_seconds=10.0)


async def put_by_older_lease(
    database: Database, position: int, body: bytes, **fields: object
) -> None:
    """Insert a chunk as the writer of the first lease does whose lease was taken a moment before."""
    await database["answer_records"].insert_one(
        {
            "_id": chunk_id(KEY, position),
            "epoch": 1,
            "first": position,
            "next": position + 1,
            "count": 1,
            "at": 1,
            "body": body,
            **fields,
        }
    )


async def test_what_the_old_writer_added_before_the_fence_is_part_of_the_takeover(
    log: MongoAnswerLog, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a"])
    clock.advance(10.0)
    insert = log._logs._insert
    late = iter((b'["b"]', b'["c"]'))

    async def insert_later(document: dict[str, Any]) -> bool:
        if (body := next(late, None)) is not None:
            await put_by_older_lease(database, document["_id"]["p"], body)
        return await insert(document)

    monkeypatch.setattr(log._logs, "_insert", insert_later)
    found = await log.take_over(KEY, lease_seconds=10.0)
    assert found is not None
    assert found.records == ["a", "b", "c"]
    assert found.lease.next_number == 3
    with pytest.raises(LeaseLost):
        await log.append(replace(lease, next_position=3, next_number=3), ["late"])
    await log.append(found.lease, ["d"])
    assert await shown(log) == ("a", "b", "c", "d")


async def test_an_end_between_the_new_lease_and_its_fence_completes_the_log(
    log: MongoAnswerLog, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    clock.advance(10.0)
    insert = log._logs._insert

    async def insert_later(document: dict[str, Any]) -> bool:
        if document["epoch"] == 2:
            document_of_end = replace(lease)
            with pytest.raises(HistoryUnavailable):
                await log.end(document_of_end, [ANSWER.interaction])
        return await insert(document)

    finish = log._logs._finish

    async def fail(*_: object) -> None:
        monkeypatch.setattr(log._logs, "_finish", finish)
        raise pymongo.errors.AutoReconnect("the writer dies here")

    monkeypatch.setattr(log._logs, "_finish", fail)
    monkeypatch.setattr(log._logs, "_insert", insert_later)
    assert await log.take_over(KEY, lease_seconds=10.0) is None
    assert await shown(log) == (ANSWER.interaction,)
    clock.advance(10.0)
    assert list(await log.abandoned(limit=5)) == []


async def test_a_death_after_the_last_chunk_is_completed_by_the_next_takeover(
    log: MongoAnswerLog, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    finish = log._logs._finish

    async def fail(*_: object) -> None:
        raise pymongo.errors.AutoReconnect("the writer dies here")

    monkeypatch.setattr(log._logs, "_finish", fail)
    with pytest.raises(HistoryUnavailable):
        await log.end(lease, ["a", ANSWER.interaction])
    assert await shown(log) == ("a", ANSWER.interaction)
    monkeypatch.setattr(log._logs, "_finish", finish)
    clock.advance(10.0)
    assert list(await log.abandoned(limit=5)) == [KEY]
    assert await log.take_over(KEY, lease_seconds=10.0) is None
    assert list(await log.abandoned(limit=5)) == []
    page = await log.read(KEY, after=1, limit=5)
    assert page is not None
    assert page.is_ended
    await _all_expire(database)


async def test_an_end_that_failed_half_way_is_repeated(
    log: MongoAnswerLog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    finish = log._logs._finish

    async def fail(*_: object) -> None:
        raise pymongo.errors.AutoReconnect("for a moment")

    monkeypatch.setattr(log._logs, "_finish", fail)
    with pytest.raises(HistoryUnavailable):
        await log.end(lease, [ANSWER.interaction])
    monkeypatch.setattr(log._logs, "_finish", finish)
    await log.end(lease, [ANSWER.interaction])
    assert await shown(log) == (ANSWER.interaction,)
    await _all_expire(database)


async def _all_expire(database: Database) -> None:
    for name in ("answers", "answer_records"):
        async for document in database[name].find():
            assert "expiresAt" in document, name


async def test_an_erased_log_has_no_content_left_and_expires(
    log: MongoAnswerLog, database: Database
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a canary"])
    await log.append(lease, ["another canary"])
    await log.erase(KEY)
    for name in ("answers", "answer_records"):
        documents = await database[name].find().to_list()
        assert documents
        assert not [each for each in documents if "canary" in str(each) or "question" in str(each)]
    await _all_expire(database)


async def test_more_logs_than_are_looked_up_at_once_are_erased(
    log: MongoAnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ERASED_AT_ONCE", 2)
    answers = [BackgroundAnswer(interaction=an_interaction(number)) for number in range(5)]
    for answer in answers:
        await log.begin(answer, lease_seconds=10.0)
    await log.erase(answers[1].key)
    await log.erase_all("ana", answers[3].key.interaction_id)
    left = [await log.read(answer.key, after=-1, limit=1) is not None for answer in answers]
    assert left == [False] * 4 + [True]


async def test_an_erasure_that_was_cut_off_is_completed_with_the_users(
    log: MongoAnswerLog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a canary"])
    close = log._logs._close

    async def fail(*_: object) -> None:
        raise pymongo.errors.AutoReconnect("the process dies here")

    monkeypatch.setattr(log._logs, "_close", fail)
    with pytest.raises(HistoryUnavailable):
        await log.erase(KEY)
    assert await log.read(KEY, after=-1, limit=5) is None
    monkeypatch.setattr(log._logs, "_close", close)
    await log.erase_all(KEY.user_id, KEY.interaction_id)
    chunks = await database["answer_records"].find().to_list()
    assert [chunk["epoch"] for chunk in chunks] == [ERASED_EPOCH] * 2
    assert "canary" not in str(chunks)


async def test_the_indexes_are_made(log: MongoAnswerLog, database: Database) -> None:
    await log.make_indexes()
    assert {"byLease", "expiry"} <= set(await database["answers"].index_information())
    assert {"byNumber", "expiry"} <= set(await database["answer_records"].index_information())
    await begun(log)
    plan = await database.command(
        "explain",
        {
            "find": "answer_records",
            "filter": {"_id.u": "ana", "_id.i": KEY.interaction_id, "next": {"$gt": 5}},
            "sort": {"_id.u": 1, "_id.i": 1, "next": 1, "_id.p": 1},
        },
        verbosity="queryPlanner",
    )
    assert "byNumber" in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT" not in str(plan["queryPlanner"]["winningPlan"])
    assert await database["answers"].find_one({"_id": header_id(KEY)}) is not None


@pytest.mark.slow
async def test_a_document_that_is_too_large_is_refused_for_good(log: MongoAnswerLog) -> None:
    lease = await begun(log)
    with pytest.raises(Unstorable):
        await log.append(lease, [secrets.token_hex(16 * 1024 * 1024)])
    await log.append(lease, ["a"])
    assert await shown(log) == ("a",)


async def test_a_server_that_is_away_is_an_error_of_history(clock: FakeClock) -> None:
    uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50"
    async with open_mongo_answers(
        uri, database="nowhere", clock=clock, keep_seconds=1.0, read_seconds=0.2
    ) as log:
        unavailable = (
            log.begin(ANSWER, lease_seconds=1.0),
            log.append(AnswerLease(key=KEY, epoch=1), ["a"]),
            log.look([AnswerLease(key=KEY, epoch=1)]),
            log.abandoned(limit=1),
            log.erase(KEY),
        )
        unreadable = (log.stop(KEY), log.read(KEY, after=-1, limit=1))
        found = await asyncio.gather(*unavailable, *unreadable, return_exceptions=True)
    assert [type(each) for each in found] == [HistoryUnavailable] * 5 + [HistoryUnreadable] * 2

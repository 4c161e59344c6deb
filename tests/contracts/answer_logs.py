"""Every implementation of the event logs of background answers, opened twice for a contract."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pymongo

from domain.entities.background.answer import AnswerKey
from domain.interfaces.answer_log import AnswerLog
from infra.answers.dynamodb.items import chunk_key
from infra.answers.dynamodb.store import open_dynamo_answers
from infra.answers.format import records_in
from infra.answers.mongo.store import open_mongo_answers
from infra.answers.sqlite.store import ANSWERS_FILE, open_sqlite_answers
from infra.history.format.documents import UnreadableDocument
from infra.storage.aws.client import open_client
from tests.fakes.answer_log import InMemoryAnswerLog
from tests.fakes.clock import FakeClock
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

READ_SECONDS = 60.0
"""Far above the product's own limit: a busy test machine is not what is tested here."""
KEEP_SECONDS = 20 * 365 * 86_400.0
"""The servers remove expired logs by their own clocks, and the clock of the tests stands still."""


@dataclass(frozen=True, slots=True)
class Logs:
    """Two logs over one store, as two processes have them.

    Attributes:
        clock: Of both.
        spoil: Replaces the body of the only chunk of a log.
        reopened: Opens the store once more.
    """

    one: AnswerLog
    other: AnswerLog
    clock: FakeClock
    spoil: Callable[[AnswerKey, bytes], Awaitable[None]]
    reopened: Callable[[], AbstractAsyncContextManager[AnswerLog]]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Logs]:
    """The file of one host."""
    clock = FakeClock()

    def opened() -> AbstractAsyncContextManager[AnswerLog]:
        return open_sqlite_answers(
            folder, clock, keep_seconds=KEEP_SECONDS, read_seconds=READ_SECONDS
        )

    async def spoil(key: AnswerKey, body: bytes) -> None:
        with apsw.Connection(str(folder / ANSWERS_FILE)) as connection:
            connection.execute(
                "UPDATE answer_record SET body = ? WHERE user_id = ? AND id = ?",
                (body, key.user_id, key.interaction_id),
            )
        connection.close()

    async with opened() as one, opened() as other:
        yield Logs(one, other, clock, spoil, opened)


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[Logs]:
    """The fake of unit tests."""
    clock = FakeClock()
    one = InMemoryAnswerLog(clock, keep_seconds=KEEP_SECONDS)

    def another() -> InMemoryAnswerLog:
        return InMemoryAnswerLog(clock, keep_seconds=KEEP_SECONDS, logs=one.logs, erased=one.erased)

    async def spoil(key: AnswerKey, body: bytes) -> None:
        try:
            records_in(body)
        except UnreadableDocument:
            one.logs[key].is_damaged = True
        else:
            one.logs[key].is_damaged = False

    yield Logs(one, another(), clock, spoil, lambda: nullcontext(another()))


@asynccontextmanager
async def mongo(_folder: Path) -> AsyncIterator[Logs]:
    """MongoDB, in a database of its own."""
    clock = FakeClock()
    name = f"answers_{secrets.token_hex(6)}"

    def opened() -> AbstractAsyncContextManager[AnswerLog]:
        return open_mongo_answers(
            shared_mongo_uri(),
            database=name,
            clock=clock,
            keep_seconds=KEEP_SECONDS,
            read_seconds=READ_SECONDS,
        )

    async with pymongo.AsyncMongoClient[dict[str, Any]](shared_mongo_uri()) as client:

        async def spoil(key: AnswerKey, body: bytes) -> None:
            await client[name]["answer_records"].update_one(
                {"_id": {"u": key.user_id, "i": key.interaction_id, "p": 0}},
                {"$set": {"body": body}},
            )

        async with opened() as one, opened() as other:
            yield Logs(one, other, clock, spoil, opened)


@asynccontextmanager
async def dynamodb(_folder: Path) -> AsyncIterator[Logs]:
    """DynamoDB, in the table of a data stack of its own."""
    clock = FakeClock()
    stack = deploy_data_stack(shared_emulator())
    access = stack.emulator.access

    def opened() -> AbstractAsyncContextManager[AnswerLog]:
        return open_dynamo_answers(
            access,
            table=stack.table,
            clock=clock,
            keep_seconds=KEEP_SECONDS,
            read_seconds=READ_SECONDS,
        )

    async with open_client("dynamodb", access, tries=2) as client:

        async def spoil(key: AnswerKey, body: bytes) -> None:
            await client(
                "update_item",
                TableName=stack.table,
                Key=chunk_key(key, 0),
                UpdateExpression="SET body = :body",
                ExpressionAttributeValues={":body": {"B": body}},
            )

        async with opened() as one, opened() as other:
            yield Logs(one, other, clock, spoil, opened)


LOGS = {"memory": in_memory, "sqlite": sqlite, "mongo": mongo, "dynamodb": dynamodb}

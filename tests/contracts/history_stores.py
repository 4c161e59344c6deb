"""Every implementation of the history ports, opened for a contract."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pymongo

from domain.interfaces.history import HistoryRepository
from infra.clock import SystemClock
from infra.history.mongo.store import open_mongo
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.sqlite.store import open_sqlite
from infra.history.store.durable_store import DurableStore
from tests.contracts.dynamodb_tables import open_table
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

MONGO_DATABASE = f"rt_genai_test_{secrets.token_hex(4)}"
READ_SECONDS = 60.0
"""Far above the product's own limit: a busy test machine is not what is tested here."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[DurableStore]:
    """The embedded store."""
    async with open_sqlite(
        folder,
        clock=SystemClock(),
        read_seconds=READ_SECONDS,
        min_free_disk_bytes=0,
        reap_seconds=0.05,
    ) as history:
        yield history


@asynccontextmanager
async def mongo(_folder: Path) -> AsyncIterator[DurableStore]:
    """MongoDB, in an empty database."""
    uri = shared_mongo_uri()
    async with pymongo.AsyncMongoClient[dict[str, object]](uri) as client:
        for collection in ("interactions", "erasures", "conversations"):
            await client[MONGO_DATABASE][collection].delete_many({})
    async with open_mongo(
        uri, database=MONGO_DATABASE, clock=SystemClock(), read_seconds=READ_SECONDS
    ) as history:
        yield history


@asynccontextmanager
async def dynamodb(_folder: Path) -> AsyncIterator[DurableStore]:
    """DynamoDB, in the table of a data stack of its own."""
    stack = deploy_data_stack(shared_emulator())
    async with open_table(stack.emulator.access, stack.table, read_seconds=READ_SECONDS) as history:
        yield history


@asynccontextmanager
async def _outbox_around(
    store: AbstractAsyncContextManager[DurableStore], folder: Path
) -> AsyncIterator[HistoryRepository]:
    async with (
        store as behind,
        open_outbox(
            folder / "host",
            store=behind,
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            min_free_disk_bytes=0,
            reap_seconds=0.05,
        ) as history,
    ):
        yield history


def outbox_around_sqlite(folder: Path) -> AbstractAsyncContextManager[HistoryRepository]:
    """An outbox whose relay goes on meanwhile."""
    return _outbox_around(sqlite(folder), folder)


def outbox_around_mongo(folder: Path) -> AbstractAsyncContextManager[HistoryRepository]:
    """The usual way to MongoDB."""
    return _outbox_around(mongo(folder), folder)


STORES = {
    "sqlite": sqlite,
    "mongo": mongo,
    "dynamodb": dynamodb,
    "outbox around sqlite": outbox_around_sqlite,
    "outbox around mongo": outbox_around_mongo,
}
FORGETS_WHAT_BEGAN = {"mongo", "dynamodb"}
"""Stores that keep no start markers by themselves, and say so."""

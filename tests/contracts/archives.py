"""Every store as a whole, opened for a contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.interfaces.history_archive import HistoryArchive
from infra.history.dynamodb.store import DynamoHistory
from infra.history.mongo.store import MongoHistory
from infra.history.sqlite.store import SqliteHistory
from infra.history.store.durable_store import DurableStore
from infra.history.transfer.dynamodb_archive import DynamoArchive
from infra.history.transfer.mongo_archive import MongoArchive
from infra.history.transfer.sqlite_archive import SqliteArchive
from tests.contracts.history_stores import STORES

ARCHIVES = ("sqlite", "mongo", "dynamodb")


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[tuple[HistoryArchive, DurableStore]]:
    """Open an empty store, as a whole and as the service uses it."""
    async with STORES[kind](folder) as store:
        yield archive_of(store), store  # type: ignore[misc]


def archive_of(store: object) -> HistoryArchive:
    """Return a store as a whole."""
    if isinstance(store, SqliteHistory):
        return SqliteArchive(store)
    if isinstance(store, MongoHistory):
        return MongoArchive(store)
    assert isinstance(store, DynamoHistory)
    return DynamoArchive(store)

"""Stores as a whole, as configured: what the commands that copy history open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

import apsw

from domain.entities.store_kind import StoreKind
from domain.interfaces.clock import Clock
from domain.interfaces.history_archive import ArchiveReader, HistoryArchive
from infra.configuration import ConfigurationError
from infra.history.open_history import aws_access, retention_of
from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.read_pool import ReadPool
from infra.history.sqlite.store import HISTORY_FILE, open_sqlite
from infra.history.transfer.sqlite_archive import SqliteArchive, SqliteArchiveReader
from infra.settings import Settings

READ_SECONDS = 60.0
"""Far above what a caller of the service would wait: nobody waits here."""
CACHE_KIBIBYTES = 256 * 1024
"""Rows of many users touch many pages of the indexes: what does not fit is written over and over."""
CHECKPOINT_PAGES = 16_000
"""Some 64 MB of log, for the same reason; nobody waits for a pause here."""


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """A store as a whole.

    Attributes:
        name: Tells it from every other store, without a secret.
    """

    archive: HistoryArchive
    name: str


@dataclass(frozen=True, slots=True)
class OpenedReader:
    """A store as a whole, to be read only; `name` is as in `OpenedArchive`."""

    reader: ArchiveReader
    name: str


@asynccontextmanager
async def open_archive(
    kind: StoreKind, settings: Settings, clock: Clock
) -> AsyncIterator[OpenedArchive]:
    """Open a store to read and write all of it; of the embedded one, the file is made where it is missing.

    Raises:
        ConfigurationError: It is not configured, or the embedded one is in use by the service.
    """
    if kind is StoreKind.SQLITE:
        async with open_sqlite(
            settings.data_dir,
            clock=clock,
            read_seconds=READ_SECONDS,
            min_free_disk_bytes=settings.min_free_disk_bytes,
            committing=_committing,
        ) as embedded:
            yield OpenedArchive(SqliteArchive(embedded), f"sqlite {embedded.path.resolve()}")
    elif kind is StoreKind.MONGODB:
        if settings.mongo_uri is None:
            raise ConfigurationError("set MONGO_URI: it says where MongoDB is")
        from infra.history.mongo.store import open_mongo
        from infra.history.transfer.mongo_archive import MongoArchive

        uri = settings.mongo_uri.get_secret_value()
        async with open_mongo(
            uri,
            database=settings.mongo_db,
            clock=clock,
            read_seconds=READ_SECONDS,
            retention=retention_of(settings),
        ) as mongo:
            name = f"mongodb {sha256(uri.encode()).hexdigest()} {settings.mongo_db}"
            yield OpenedArchive(MongoArchive(mongo), name)
    else:
        if settings.dynamodb_table is None:
            raise ConfigurationError("set DYNAMODB_TABLE: it says which table")
        from infra.history.dynamodb.store import open_dynamo
        from infra.history.transfer.dynamodb_archive import DynamoArchive

        access = aws_access(settings)
        async with open_dynamo(
            access,
            table=settings.dynamodb_table,
            clock=clock,
            read_seconds=READ_SECONDS,
            retention=retention_of(settings),
        ) as dynamo:
            where = access.endpoint_url or access.region
            yield OpenedArchive(
                DynamoArchive(dynamo), f"dynamodb {where} {settings.dynamodb_table}"
            )


@asynccontextmanager
async def open_archive_reader(
    kind: StoreKind, settings: Settings, clock: Clock
) -> AsyncIterator[OpenedReader]:
    """Open a store to read all of it; the embedded one may be in use by the service.

    Raises:
        ConfigurationError: It is not configured, or cannot be.
    """
    if kind is not StoreKind.SQLITE:
        async with open_archive(kind, settings, clock) as opened:
            yield OpenedReader(opened.archive, opened.name)
        return
    path = settings.data_dir / HISTORY_FILE
    reads = ReadPool(seconds=READ_SECONDS, threads=1)
    try:
        yield OpenedReader(SqliteArchiveReader(reads, path), f"sqlite {path.resolve()}")
    finally:
        await reads.close()


def _committing(connection: apsw.Connection) -> SqliteCommitter:
    connection.pragma("cache_size", -CACHE_KIBIBYTES)
    return SqliteCommitter(connection, checkpoint_pages=CHECKPOINT_PAGES)

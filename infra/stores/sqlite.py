"""SQLite: files under DATA_DIR, the store when no other is configured."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from infra.stores.store import (
    ARCHIVE_READ_SECONDS,
    OpenedArchive,
    OpenedReader,
    OpenedStore,
    Store,
    nothing_to_check,
)

if TYPE_CHECKING:
    import apsw

    from domain.interfaces.answer_log import AnswerLog
    from domain.interfaces.attachments import AttachmentStore
    from domain.interfaces.clock import Clock
    from domain.interfaces.idempotency import IdempotencyStore
    from infra.history.sqlite.committer import SqliteCommitter
    from infra.settings.answers import AnswerSettings
    from infra.settings.history import HistorySettings

CACHE_KIBIBYTES = 256 * 1024
"""Rows in the order of ids touch many pages of the indexes by user; a small cache writes each of them many times."""
CHECKPOINT_PAGES = 16_000
"""About 64 MB of write-ahead log between checkpoints, for the same reason."""


@asynccontextmanager
async def _open(settings: "HistorySettings", clock: "Clock") -> AsyncIterator[OpenedStore]:
    from infra.history.sqlite.store import open_sqlite
    from infra.history.store.retention import Retention

    async with open_sqlite(
        settings.data_dir,
        clock=clock,
        read_seconds=settings.history_read_seconds,
        min_free_disk_bytes=settings.min_free_disk_bytes,
        retention=Retention(settings.history_retention_days),
    ) as history:
        yield OpenedStore(history, degraded=tuple, records=history.records)


@asynccontextmanager
async def _open_archive(
    settings: "HistorySettings", clock: "Clock"
) -> AsyncIterator[OpenedArchive]:
    from infra.history.sqlite.store import open_sqlite
    from infra.history.transfer.sqlite_archive import SqliteArchive

    async with open_sqlite(
        settings.data_dir,
        clock=clock,
        read_seconds=ARCHIVE_READ_SECONDS,
        min_free_disk_bytes=settings.min_free_disk_bytes,
        committing=_bulk_committer,
    ) as history:
        yield OpenedArchive(
            SqliteArchive(history), f"sqlite {history.path.resolve()}", history.records
        )


@asynccontextmanager
async def _open_archive_reader(
    settings: "HistorySettings", _clock: "Clock"
) -> AsyncIterator[OpenedReader]:
    from infra.history.sqlite.conversation_records import SqliteConversationRecordReader
    from infra.history.sqlite.read_pool import ReadPool
    from infra.history.sqlite.store import HISTORY_FILE
    from infra.history.transfer.sqlite_archive import SqliteArchiveReader

    path = settings.data_dir / HISTORY_FILE
    reads = ReadPool(seconds=ARCHIVE_READ_SECONDS, threads=1)
    try:
        yield OpenedReader(
            SqliteArchiveReader(reads, path),
            f"sqlite {path.resolve()}",
            SqliteConversationRecordReader(reads, path),
        )
    finally:
        await reads.close()


def _open_idempotency(
    settings: "HistorySettings", clock: "Clock"
) -> AbstractAsyncContextManager["IdempotencyStore"]:
    from infra.idempotency.sqlite.store import open_sqlite_idempotency

    return open_sqlite_idempotency(settings.data_dir, clock)


def open_local_answers(
    settings: "AnswerSettings", clock: "Clock"
) -> AbstractAsyncContextManager["AnswerLog"]:
    """Open the event logs in a file of this host, for this store and for the outbox before any other."""
    from infra.answers.sqlite.store import open_sqlite_answers

    return open_sqlite_answers(
        settings.data_dir,
        clock,
        keep_seconds=settings.answer_events_keep_seconds,
        read_seconds=settings.history_read_seconds,
    )


def _open_attachments(
    settings: "HistorySettings", clock: "Clock"
) -> AbstractAsyncContextManager["AttachmentStore"]:
    from infra.attachments.disk import open_disk_attachments

    return open_disk_attachments(
        settings.data_dir, clock=clock, min_free_disk_bytes=settings.min_free_disk_bytes
    )


def _nothing_to_copy(settings: "HistorySettings") -> str | None:
    from infra.history.sqlite.store import HISTORY_FILE

    file = settings.data_dir / HISTORY_FILE
    if file.is_file():
        return None
    return f"{file} does not exist: set DATA_DIR to the folder of the history"


def _bulk_committer(connection: "apsw.Connection") -> "SqliteCommitter":
    from infra.history.sqlite.committer import SqliteCommitter

    connection.pragma("cache_size", -CACHE_KIBIBYTES)
    return SqliteCommitter(connection, checkpoint_pages=CHECKPOINT_PAGES)


SQLITE = Store(
    name="sqlite",
    setting="DATA_DIR",
    is_embedded=True,
    missing=nothing_to_check,
    nothing_to_copy=_nothing_to_copy,
    open=_open,
    open_archive=_open_archive,
    open_archive_reader=_open_archive_reader,
    open_idempotency=_open_idempotency,
    open_answers=open_local_answers,
    open_attachments=_open_attachments,
)

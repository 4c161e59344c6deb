"""MongoDB, at MONGO_URI."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from infra.configuration import ConfigurationError
from infra.stores.store import (
    ARCHIVE_READ_SECONDS,
    OpenedArchive,
    OpenedReader,
    OpenedStore,
    Store,
)

if TYPE_CHECKING:
    from domain.interfaces.answer_log import AnswerLog
    from domain.interfaces.attachments import AttachmentStore
    from domain.interfaces.clock import Clock
    from domain.interfaces.idempotency import IdempotencyStore
    from infra.history.mongo.store import MongoHistory
    from infra.limits.counters import SharedCounters
    from infra.settings.answers import AnswerSettings
    from infra.settings.history import HistorySettings

_TLS_OPTION = re.compile(r"[?&](?:tls|ssl)=", re.IGNORECASE)
_LOCAL_HOST = re.compile(
    r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|%2f[^,/]*)(?::\d+)?", re.IGNORECASE
)
_MISSING = "set MONGO_URI, the address of MongoDB"


def _missing(settings: "HistorySettings") -> str | None:
    return _MISSING if settings.mongo_uri is None else None


def _uri(settings: "HistorySettings") -> str:
    if settings.mongo_uri is None:
        raise ConfigurationError(_MISSING)
    return settings.mongo_uri.get_secret_value()


def _history(
    settings: "HistorySettings", clock: "Clock", read_seconds: float
) -> AbstractAsyncContextManager["MongoHistory"]:
    from infra.history.mongo.store import open_mongo
    from infra.history.store.retention import Retention

    return open_mongo(
        _uri(settings),
        database=settings.mongo_db,
        clock=clock,
        read_seconds=read_seconds,
        retention=Retention(settings.history_retention_days),
    )


@asynccontextmanager
async def _open(settings: "HistorySettings", clock: "Clock") -> AsyncIterator[OpenedStore]:
    async with _history(settings, clock, settings.history_read_seconds) as history:
        yield OpenedStore(history, history.reachability.degraded, history.records)


@asynccontextmanager
async def _open_archive(
    settings: "HistorySettings", clock: "Clock"
) -> AsyncIterator[OpenedArchive]:
    from infra.history.transfer.mongo_archive import MongoArchive

    uri = _uri(settings)
    async with _history(settings, clock, ARCHIVE_READ_SECONDS) as history:
        name = f"mongodb {sha256(uri.encode()).hexdigest()} {settings.mongo_db}"
        yield OpenedArchive(MongoArchive(history), name, history.records)


@asynccontextmanager
async def _open_archive_reader(
    settings: "HistorySettings", clock: "Clock"
) -> AsyncIterator[OpenedReader]:
    async with _open_archive(settings, clock) as opened:
        yield OpenedReader(opened.archive, opened.name, opened.records)


def _open_idempotency(
    settings: "HistorySettings", _clock: "Clock"
) -> AbstractAsyncContextManager["IdempotencyStore"]:
    from infra.idempotency.mongo import open_mongo_idempotency

    return open_mongo_idempotency(_uri(settings), database=settings.mongo_db)


def _open_answers(
    settings: "AnswerSettings", clock: "Clock"
) -> AbstractAsyncContextManager["AnswerLog"]:
    from infra.answers.mongo.store import open_mongo_answers

    return open_mongo_answers(
        _uri(settings),
        database=settings.mongo_db,
        clock=clock,
        keep_seconds=settings.answer_events_keep_seconds,
        read_seconds=settings.history_read_seconds,
    )


def _open_counters(
    settings: "HistorySettings", call_seconds: float
) -> AbstractAsyncContextManager["SharedCounters"]:
    from infra.limits.mongo import open_mongo_counters

    return open_mongo_counters(
        _uri(settings), database=settings.mongo_db, call_seconds=call_seconds
    )


def _open_attachments(
    settings: "HistorySettings", clock: "Clock"
) -> AbstractAsyncContextManager["AttachmentStore"]:
    from infra.attachments.gridfs import open_gridfs_attachments

    return open_gridfs_attachments(_uri(settings), database=settings.mongo_db, clock=clock)


def _unsafe_reasons(settings: "HistorySettings") -> Sequence[str]:
    if settings.mongo_uri is None or _is_private(settings.mongo_uri.get_secret_value()):
        return ()
    return ("MONGO_URI does not ask for TLS (tls=true in it does, tls=false permits it)",)


def _is_private(uri: str) -> bool:
    """Return whether the connection is encrypted, stays on this machine, or is unencrypted by explicit choice."""
    if uri.startswith("mongodb+srv://") or _TLS_OPTION.search(uri):
        return True
    hosts = uri.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return all(_LOCAL_HOST.fullmatch(host) for host in hosts.split(","))


MONGODB = Store(
    name="mongodb",
    setting="MONGO_URI",
    missing=_missing,
    unsafe_reasons=_unsafe_reasons,
    open=_open,
    open_archive=_open_archive,
    open_archive_reader=_open_archive_reader,
    open_idempotency=_open_idempotency,
    open_answers=_open_answers,
    open_counters=_open_counters,
    open_attachments=_open_attachments,
)

"""DynamoDB, in the table DYNAMODB_TABLE."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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
    from infra.history.dynamodb.store import DynamoHistory
    from infra.limits.counters import SharedCounters
    from infra.settings.answers import AnswerSettings
    from infra.settings.history import HistorySettings

_MISSING = "set DYNAMODB_TABLE, the name of the table"


def _missing(settings: "HistorySettings") -> str | None:
    return _MISSING if settings.dynamodb_table is None else None


def _table(settings: "HistorySettings") -> str:
    if settings.dynamodb_table is None:
        raise ConfigurationError(_MISSING)
    return settings.dynamodb_table


def _history(
    settings: "HistorySettings", clock: "Clock", read_seconds: float
) -> AbstractAsyncContextManager["DynamoHistory"]:
    from infra.history.dynamodb.store import open_dynamo
    from infra.history.store.retention import Retention
    from infra.storage.aws.access import AwsAccess

    return open_dynamo(
        AwsAccess.from_settings(settings),
        table=_table(settings),
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
    from infra.history.transfer.dynamodb_archive import DynamoArchive
    from infra.storage.aws.access import AwsAccess

    table = _table(settings)
    access = AwsAccess.from_settings(settings)
    async with _history(settings, clock, ARCHIVE_READ_SECONDS) as history:
        address = access.endpoint_url or access.region
        yield OpenedArchive(DynamoArchive(history), f"dynamodb {address} {table}", history.records)


@asynccontextmanager
async def _open_archive_reader(
    settings: "HistorySettings", clock: "Clock"
) -> AsyncIterator[OpenedReader]:
    async with _open_archive(settings, clock) as opened:
        yield OpenedReader(opened.archive, opened.name, opened.records)


@asynccontextmanager
async def _open_idempotency(
    settings: "HistorySettings", _clock: "Clock"
) -> AsyncIterator["IdempotencyStore"]:
    from infra.idempotency.dynamodb import DynamoIdempotency
    from infra.storage.aws.access import AwsAccess
    from infra.storage.aws.client import open_client
    from infra.storage.aws.dynamodb_table import Table

    table = _table(settings)
    # The table is created with the history that shares it.
    async with open_client("dynamodb", AwsAccess.from_settings(settings), tries=2) as dynamodb:
        yield DynamoIdempotency(Table(dynamodb, table))


def _open_answers(
    settings: "AnswerSettings", clock: "Clock"
) -> AbstractAsyncContextManager["AnswerLog"]:
    from infra.answers.dynamodb.store import open_dynamo_answers
    from infra.storage.aws.access import AwsAccess

    # The table is created with the history that shares it.
    return open_dynamo_answers(
        AwsAccess.from_settings(settings),
        table=_table(settings),
        clock=clock,
        keep_seconds=settings.answer_events_keep_seconds,
        read_seconds=settings.history_read_seconds,
    )


def _open_counters(
    settings: "HistorySettings", call_seconds: float
) -> AbstractAsyncContextManager["SharedCounters"]:
    from infra.limits.dynamodb import open_dynamo_counters
    from infra.storage.aws.access import AwsAccess

    return open_dynamo_counters(
        AwsAccess.from_settings(settings), table=_table(settings), call_seconds=call_seconds
    )


@asynccontextmanager
async def _open_attachments(
    settings: "HistorySettings", clock: "Clock"
) -> AsyncIterator["AttachmentStore | None"]:
    from infra.attachments.s3 import open_s3_attachments
    from infra.storage.aws.access import AwsAccess

    bucket = settings.attachments_bucket
    if bucket is None:
        yield None
        return
    access = AwsAccess.from_settings(settings)
    async with open_s3_attachments(access, bucket=bucket, clock=clock) as attachments:
        yield attachments


def _unsafe_reasons(settings: "HistorySettings") -> Sequence[str]:
    """Return unsafe settings of the access to AWS, which a queue before any store uses too."""
    reasons = []
    if (endpoint := settings.aws_endpoint_url) and not endpoint.startswith("https://"):
        reasons.append("AWS_ENDPOINT_URL is not an https URL")
    if settings.aws_emulator:
        reasons.append("AWS_EMULATOR is true")
    return reasons


DYNAMODB = Store(
    name="dynamodb",
    setting="DYNAMODB_TABLE",
    missing=_missing,
    unsafe_reasons=_unsafe_reasons,
    open=_open,
    open_archive=_open_archive,
    open_archive_reader=_open_archive_reader,
    open_idempotency=_open_idempotency,
    open_answers=_open_answers,
    open_counters=_open_counters,
    open_attachments=_open_attachments,
    attachments_setting="ATTACHMENTS_BUCKET",
)

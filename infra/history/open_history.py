"""Where history is kept, as configured: the table of docs/operations.md, in code."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from domain.entities.store_kind import StoreKind
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded
from domain.interfaces.history import HistoryRepository
from infra.configuration import ConfigurationError
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from infra.history.sqlite.outbox.relay import Sink
from infra.history.sqlite.store import open_sqlite
from infra.history.store.durable_store import DurableStore
from infra.history.store.retention import RetainedHistory, Retention
from infra.settings import Settings
from infra.storage.aws.access import AwsAccess

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredHistory:
    """History, and what can be told of the parts it consists of.

    Attributes:
        outbox: What this host has still to deliver; None where there is none.
    """

    repository: HistoryRepository
    outbox: Outbox | None
    _watched: tuple[Callable[[], Sequence[Degraded]], ...] = ()

    def degraded(self) -> Sequence[Degraded]:
        """Return which stores and queues are away."""
        return [part for watch in self._watched for part in watch()]

    def lag_seconds(self) -> float | None:
        """Return the age of what this host has still to deliver; None where it delivers nothing itself."""
        return None if self.outbox is None else self.outbox.lag_seconds()


@asynccontextmanager
async def open_history(
    settings: Settings, clock: Clock, *, traceparent: Callable[[], str | None] = lambda: None
) -> AsyncIterator[ConfiguredHistory]:
    """Open what the settings name: the embedded store; or an outbox before a store, or a queue before either.

    Args:
        settings: What to open, and where.
        clock: Tells when things are due.
        traceparent: Returns what names the current span to whoever takes an interaction from the queue.

    Raises:
        ConfigurationError: The settings do not go together, or name what cannot be.
    """
    _check(settings)
    async with AsyncExitStack() as stack:
        if not has_store(settings):
            embedded = await stack.enter_async_context(
                open_sqlite(
                    settings.data_dir,
                    clock=clock,
                    read_seconds=settings.history_read_seconds,
                    min_free_disk_bytes=settings.min_free_disk_bytes,
                    retention=retention_of(settings),
                )
            )
            yield ConfiguredHistory(repository=embedded, outbox=None)
            return
        warn_of_plain_endpoint(settings)
        store, store_degraded = await open_store(settings, clock, stack)
        if settings.sqs_queue_url is not None:
            yield await _behind_queue(settings, clock, stack, store, store_degraded, traceparent)
        elif settings.outbox_enabled:
            outbox = await _open_outbox(settings, clock, stack, store)
            yield ConfiguredHistory(repository=outbox, outbox=outbox, _watched=(outbox.degraded,))
        else:
            yield ConfiguredHistory(repository=store, outbox=None, _watched=(store_degraded,))


def without_expired(
    settings: Settings, history: HistoryRepository, clock: Clock
) -> HistoryRepository:
    """Return the history that is read: where anything expires, it is seen no more, however late it is removed."""
    if settings.history_retention_days is None:
        return history
    return RetainedHistory(history, retention_of(settings), clock)


def configured_kind(settings: Settings) -> StoreKind:
    """Return where the settings say that history is kept.

    Raises:
        ConfigurationError: In two places.
    """
    if settings.mongo_uri is not None and settings.dynamodb_table is not None:
        raise ConfigurationError("MONGO_URI and DYNAMODB_TABLE are both set: choose one store")
    if settings.mongo_uri is not None:
        return StoreKind.MONGODB
    return StoreKind.SQLITE if settings.dynamodb_table is None else StoreKind.DYNAMODB


def has_store(settings: Settings) -> bool:
    """Return whether a store outside this process is configured."""
    return settings.mongo_uri is not None or settings.dynamodb_table is not None


def retention_of(settings: Settings) -> Retention:
    """Return how long history is kept."""
    return Retention(settings.history_retention_days)


def aws_access(settings: Settings) -> AwsAccess:
    """Return where and as whom AWS is reached.

    Raises:
        ConfigurationError: An emulator without an address.
    """
    if settings.aws_emulator and settings.aws_endpoint_url is None:
        raise ConfigurationError(
            "AWS_EMULATOR needs AWS_ENDPOINT_URL: it says where the emulator is"
        )
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return AwsAccess(
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        is_emulator=settings.aws_emulator,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        session_token=None if token is None else token.get_secret_value(),
    )


async def open_store(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> tuple[DurableStore, Callable[[], Sequence[Degraded]]]:
    """Open the store outside this process, and what tells whether it is away.

    Drivers are imported here, so that only the one that is configured is loaded.
    """
    if settings.dynamodb_table is not None:
        from infra.history.dynamodb.store import open_dynamo

        dynamo = await stack.enter_async_context(
            open_dynamo(
                aws_access(settings),
                table=settings.dynamodb_table,
                clock=clock,
                read_seconds=settings.history_read_seconds,
                retention=retention_of(settings),
            )
        )
        return dynamo, dynamo.reachability.degraded
    from infra.history.mongo.store import open_mongo

    assert settings.mongo_uri is not None
    mongo = await stack.enter_async_context(
        open_mongo(
            settings.mongo_uri.get_secret_value(),
            database=settings.mongo_db,
            clock=clock,
            read_seconds=settings.history_read_seconds,
            retention=retention_of(settings),
        )
    )
    return mongo, mongo.reachability.degraded


async def _behind_queue(
    settings: Settings,
    clock: Clock,
    stack: AsyncExitStack,
    store: DurableStore,
    store_degraded: Callable[[], Sequence[Degraded]],
    traceparent: Callable[[], str | None],
) -> ConfiguredHistory:
    from infra.history.sqs.queue_setup import SqsNames
    from infra.history.sqs.queued_history import SqsHistory, SqsSink, open_senders

    names = SqsNames.of(str(settings.sqs_queue_url), settings.sqs_dlq_url)
    senders = await stack.enter_async_context(
        open_senders(aws_access(settings), names, clock=clock)
    )
    queue_degraded = senders.chats.reachability.degraded
    if not settings.outbox_enabled:
        return ConfiguredHistory(
            repository=SqsHistory(senders.chats, store, traceparent=traceparent),
            outbox=None,
            _watched=(queue_degraded, store_degraded),
        )
    outbox = await _open_outbox(settings, clock, stack, store, SqsSink(senders.backlog, store))
    return ConfiguredHistory(
        repository=SqsHistory(
            senders.chats, outbox, end_marker=outbox.end_marker, traceparent=traceparent
        ),
        outbox=outbox,
        _watched=(queue_degraded, outbox.degraded),
    )


async def _open_outbox(
    settings: Settings,
    clock: Clock,
    stack: AsyncExitStack,
    store: DurableStore,
    sink: Sink | None = None,
) -> Outbox:
    return await stack.enter_async_context(
        open_outbox(
            settings.data_dir,
            store=store,
            sink=sink,
            clock=clock,
            read_seconds=settings.history_read_seconds,
            min_free_disk_bytes=settings.min_free_disk_bytes,
            keep_delivered_seconds=settings.outbox_keep_delivered_seconds,
            max_rows=settings.outbox_max_rows,
            max_bytes=settings.outbox_max_bytes,
            retention=retention_of(settings),
            is_only_host=settings.history_hosts == "one",
        )
    )


def warn_of_plain_endpoint(settings: Settings) -> None:
    """Say in the log what an address without TLS, as an emulator has one, is taken for."""
    endpoint = settings.aws_endpoint_url or ""
    if endpoint.startswith("http://") and not settings.aws_emulator:
        logger.warning(
            "AWS_ENDPOINT_URL is plain http and taken for AWS itself, with a region and credentials of yours;"
            " if it is an emulator, set AWS_EMULATOR=true"
        )


def _check(settings: Settings) -> None:
    configured_kind(settings)
    if settings.sqs_queue_url is not None and not has_store(settings):
        raise ConfigurationError("SQS_QUEUE_URL needs a store: set MONGO_URI or DYNAMODB_TABLE")

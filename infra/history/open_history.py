"""Opens the configured history: a store, with an outbox or a queue in front of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.health import Degraded
from domain.interfaces.history import HistoryRepository, UsageReader
from domain.interfaces.telemetry import AttachmentObserver
from domain.interfaces.tombstones import Tombstones
from infra.attachments.disk import open_disk_attachments
from infra.attachments.measured import MeasuredAttachments
from infra.attachments.outbox import AttachmentsFirst, OutboxAttachments
from infra.configuration import ConfigurationError
from infra.history.sqlite.outbox.outbox import OUTBOX_FOLDER, Outbox, open_outbox
from infra.history.sqlite.outbox.relay import Sink
from infra.history.store.durable_store import DurableStore
from infra.history.store.overdue import BACKGROUND_SECONDS, OverdueHistory
from infra.history.store.retention import (
    RetainedHistory,
    RetainedRecords,
    RetainedUsage,
    Retention,
)
from infra.settings.history import HistorySettings
from infra.storage.aws.access import AwsAccess, warn_of_plain_endpoint
from infra.stores.registry import configured_store, remote_store_settings
from infra.stores.store import OpenedStore, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredHistory:
    """The opened history and the state of its parts.

    Attributes:
        outbox: The interactions that this host has not delivered yet; None without an outbox.
        attachments: Stores the contents that interactions refer to; None if the settings configure no store for them.
        records: The records of conversations, read and written in the store itself.
        tombstones: Of the store itself.
        usage: Of all users; includes what this host has not delivered to the store yet.
    """

    repository: HistoryRepository
    tombstones: Tombstones
    outbox: Outbox | None
    attachments: AttachmentStore | None
    records: ConversationRecords
    usage: UsageReader
    _watched: tuple[Callable[[], Sequence[Degraded]], ...] = ()

    def degraded(self) -> Sequence[Degraded]:
        """Return the stores and queues that do not respond."""
        return [part for watch in self._watched for part in watch()]

    def lag_seconds(self) -> float | None:
        """Return the age of the oldest undelivered interaction of this host; None without an outbox."""
        return None if self.outbox is None else self.outbox.lag_seconds()


@asynccontextmanager
async def open_history(
    settings: HistorySettings,
    clock: Clock,
    *,
    traceparent: Callable[[], str | None] = lambda: None,
    attachment_observer: AttachmentObserver | None = None,
) -> AsyncIterator[ConfiguredHistory]:
    """Open the embedded store, or an outbox before a remote store, or a queue before either.

    Args:
        settings: The configuration.
        clock: For due times and pauses.
        traceparent: Returns the current span for the message of an interaction, as in W3C Trace Context.
        attachment_observer: Receives figures of the attachments in the store.

    Raises:
        ConfigurationError: The settings contradict each other, or the store cannot be opened.
    """
    store = configured_store(settings)
    _check(settings, store)
    async with AsyncExitStack() as stack:
        if not store.is_embedded:
            warn_of_plain_endpoint(settings)
        opened = await stack.enter_async_context(store.open(settings, clock))
        attachments = await stack.enter_async_context(store.open_attachments(settings, clock))
        if attachments is not None and attachment_observer is not None:
            attachments = MeasuredAttachments(attachments, attachment_observer)
        before_sink = None
        if settings.outbox_enabled and not store.is_embedded and attachments is not None:
            local = await stack.enter_async_context(
                open_disk_attachments(
                    settings.data_dir / OUTBOX_FOLDER,
                    clock=clock,
                    min_free_disk_bytes=settings.min_free_disk_bytes,
                )
            )
            before_sink = partial(AttachmentsFirst, local=local, remote=attachments, clock=clock)
            attachments = OutboxAttachments(local, attachments)
        if settings.sqs_queue_url is not None:
            yield await _behind_queue(
                settings, clock, stack, opened, attachments, before_sink, traceparent
            )
        elif settings.outbox_enabled and not store.is_embedded:
            outbox = await _open_outbox(
                settings, clock, stack, opened.history, before_sink=before_sink
            )
            yield ConfiguredHistory(
                repository=outbox,
                tombstones=opened.history,
                outbox=outbox,
                attachments=attachments,
                records=outbox.records(opened.records),
                usage=outbox,
                _watched=(outbox.degraded,),
            )
        else:
            yield ConfiguredHistory(
                repository=opened.history,
                tombstones=opened.history,
                outbox=None,
                attachments=attachments,
                records=opened.records,
                usage=opened.history,
                _watched=(opened.degraded,),
            )


def without_expired(
    settings: HistorySettings, history: HistoryRepository, clock: Clock
) -> HistoryRepository:
    """Return the history for reading: it hides expired interactions that the store has not removed yet."""
    if settings.history_retention_days is None:
        return history
    return RetainedHistory(history, Retention(settings.history_retention_days), clock)


def overdue_as_interrupted(
    history: HistoryRepository, clock: Clock, *, background_seconds: float = BACKGROUND_SECONDS
) -> HistoryRepository:
    """Return the history for reading: it shows answers that are in progress for too long as `interrupted`."""
    return OverdueHistory(history, clock, background_seconds=background_seconds)


def records_without_expired(
    settings: HistorySettings, records: ConversationRecords, clock: Clock
) -> ConversationRecords:
    """Return the records for reading, likewise."""
    if settings.history_retention_days is None:
        return records
    return RetainedRecords(records, Retention(settings.history_retention_days), clock)


def usage_without_expired(
    settings: HistorySettings, usage: UsageReader, clock: Clock
) -> UsageReader:
    """Return the usage for reading, likewise."""
    if settings.history_retention_days is None:
        return usage
    return RetainedUsage(usage, Retention(settings.history_retention_days), clock)


async def _behind_queue(
    settings: HistorySettings,
    clock: Clock,
    stack: AsyncExitStack,
    store: OpenedStore,
    attachments: AttachmentStore | None,
    before_sink: Callable[[Sink], Sink] | None,
    traceparent: Callable[[], str | None],
) -> ConfiguredHistory:
    from infra.history.sqs.queue_setup import SqsNames
    from infra.history.sqs.queued_history import (
        SqsHistory,
        SqsSink,
        is_turn_of_conversation,
        open_senders,
    )

    names = SqsNames.from_urls(str(settings.sqs_queue_url), settings.sqs_dlq_url)
    senders = await stack.enter_async_context(
        open_senders(AwsAccess.from_settings(settings), names, clock=clock)
    )
    queue_degraded = senders.chats.reachability.degraded
    if not settings.outbox_enabled:
        return ConfiguredHistory(
            repository=SqsHistory(senders.chats, store.history, traceparent=traceparent),
            tombstones=store.history,
            outbox=None,
            attachments=attachments,
            records=store.records,
            usage=store.history,
            _watched=(queue_degraded, store.degraded),
        )
    sink = SqsSink(senders.backlog, store.history)
    outbox = await _open_outbox(
        settings, clock, stack, store.history, sink, before_sink=before_sink
    )
    return ConfiguredHistory(
        repository=SqsHistory(
            senders.chats,
            outbox,
            end_marker=outbox.end_marker,
            traceparent=traceparent,
            # the outbox delivers attachments before their interaction
            is_direct=lambda interaction: not interaction.content_ids,
            # the next turn reads it on this host before a worker has stored it
            is_read_soon=is_turn_of_conversation,
        ),
        tombstones=store.history,
        outbox=outbox,
        attachments=attachments,
        records=outbox.records(store.records),
        usage=outbox,
        _watched=(queue_degraded, outbox.degraded),
    )


async def _open_outbox(
    settings: HistorySettings,
    clock: Clock,
    stack: AsyncExitStack,
    store: DurableStore,
    sink: Sink | None = None,
    *,
    before_sink: Callable[[Sink], Sink] | None,
) -> Outbox:
    return await stack.enter_async_context(
        open_outbox(
            settings.data_dir,
            store=store,
            sink=sink,
            before_sink=before_sink,
            clock=clock,
            read_seconds=settings.history_read_seconds,
            min_free_disk_bytes=settings.min_free_disk_bytes,
            keep_delivered_seconds=settings.outbox_keep_delivered_seconds,
            max_rows=settings.outbox_max_rows,
            max_bytes=settings.outbox_max_bytes,
            retention=Retention(settings.history_retention_days),
            is_only_host=settings.history_hosts == "one",
        )
    )


def _check(settings: HistorySettings, store: Store) -> None:
    if settings.sqs_queue_url is not None and store.is_embedded:
        raise ConfigurationError(f"SQS_QUEUE_URL needs a store: set {remote_store_settings()}")

"""The description of a store that can be configured, and what its functions return."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.interfaces.answer_log import AnswerLog
    from domain.interfaces.attachments import AttachmentStore
    from domain.interfaces.clock import Clock
    from domain.interfaces.conversation_records import (
        ConversationRecordReader,
        ConversationRecords,
    )
    from domain.interfaces.health import Degraded
    from domain.interfaces.history_archive import ArchiveReader, HistoryArchive
    from domain.interfaces.idempotency import IdempotencyStore
    from infra.history.store.durable_store import DurableStore
    from infra.limits.counters import SharedCounters
    from infra.settings.answers import AnswerSettings
    from infra.settings.history import HistorySettings

ARCHIVE_READ_SECONDS = 60.0
"""Limit of one read of a copy: far above that of a request."""


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An open store.

    Attributes:
        degraded: Returns the store while it does not respond.
        records: The records of conversations.
    """

    history: "DurableStore"
    degraded: "Callable[[], Sequence[Degraded]]"
    records: "ConversationRecords"


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """All contents of a store, for reading and writing.

    Attributes:
        name: Identifies the store among all others; holds no secret.
        records: The records of conversations.
    """

    archive: "HistoryArchive"
    name: str
    records: "ConversationRecords"


@dataclass(frozen=True, slots=True)
class OpenedReader:
    """All contents of a store, for reading; `name` and `records` as in `OpenedArchive`."""

    reader: "ArchiveReader"
    name: str
    records: "ConversationRecordReader"


def nothing_to_check(_settings: "HistorySettings") -> None:
    """Return None: no condition applies."""


def no_reasons(_settings: "HistorySettings") -> Sequence[str]:
    """Return an empty sequence: no setting of the store is unsafe."""
    return ()


@asynccontextmanager
async def no_attachments(
    _settings: "HistorySettings", _clock: "Clock"
) -> AsyncIterator["AttachmentStore | None"]:
    """Yield None: the store does not take attachments."""
    yield None


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One kind of store. Its functions import the driver when they are called.

    Attributes:
        name: The name on the command line.
        setting: The environment variable that selects the store.
        is_embedded: Whether the store is a file of this process, which is written without an outbox or a queue.
        missing: Returns which setting the store lacks; None when it is configured.
        nothing_to_copy: Returns why there is no history to export or migrate; None when there may be some.
        unsafe_reasons: Returns the settings that production refuses, one phrase each.
        open: Opens the store for the service.
        open_archive: Opens all contents for reading and writing. The embedded store must not be in use.
        open_archive_reader: Opens all contents for reading, also while the service runs.
        open_idempotency: Opens the idempotency records.
        open_answers: Opens the event logs of background answers.
        open_counters: Opens the counters of limits that all processes share, with so many seconds for each call; None
            where one process uses the store.
        open_attachments: Opens the attachments; yields None if the settings configure no store for them.
        attachments_setting: The environment variable that selects this store, if there is one.
    """

    name: str
    setting: str
    is_embedded: bool = False
    missing: "Callable[[HistorySettings], str | None]"
    nothing_to_copy: "Callable[[HistorySettings], str | None]" = nothing_to_check
    unsafe_reasons: "Callable[[HistorySettings], Sequence[str]]" = no_reasons
    open: "Callable[[HistorySettings, Clock], AbstractAsyncContextManager[OpenedStore]]"
    open_archive: "Callable[[HistorySettings, Clock], AbstractAsyncContextManager[OpenedArchive]]"
    open_archive_reader: (
        "Callable[[HistorySettings, Clock], AbstractAsyncContextManager[OpenedReader]]"
    )
    open_idempotency: (
        "Callable[[HistorySettings, Clock], AbstractAsyncContextManager[IdempotencyStore]]"
    )
    open_answers: "Callable[[AnswerSettings, Clock], AbstractAsyncContextManager[AnswerLog]]"
    open_counters: "Callable[[HistorySettings, float], AbstractAsyncContextManager[SharedCounters]] | None" = None
    open_attachments: "Callable[[HistorySettings, Clock], AbstractAsyncContextManager[AttachmentStore | None]]" = no_attachments
    attachments_setting: str | None = None

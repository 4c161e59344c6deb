"""The commands import, export, migrate and backup."""

import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.history_commands import ExportOptions, ImportOptions
from app.cli.parser import BackupResult, CommandFailed
from domain.entities.checksum import Checksum
from domain.entities.copy_progress import CopyProgress
from domain.entities.stored_record import Record
from domain.exceptions import HistoryError
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.use_cases.copy_history import CopyHistory, as_stored
from infra.clock import SystemClock
from infra.history.format.documents import UnreadableDocument
from infra.history.sqlite.outbox.outbox import OUTBOX_FOLDER
from infra.history.sqlite.outbox.outbox_file import count_waiting
from infra.history.sqlite.store import HISTORY_FILE
from infra.history.store.retention import Retention
from infra.history.transfer.backup import BackupFailed, attachments_of
from infra.history.transfer.backup import back_up as copy_store
from infra.history.transfer.carry_contents import CarryContents
from infra.history.transfer.checkpoint_file import CheckpointFile
from infra.history.transfer.export_file import ExportFailed, export_to
from infra.history.transfer.import_file import InteractionFile
from infra.history.transfer.jsonl_format import InvalidLine, digest_of_line
from infra.history.transfer.record_contents import (
    ContentsNotConfigured,
    content_ids_of,
    with_long_texts,
)
from infra.history.transfer.store_source import StoreSource, digest_of
from infra.settings import Settings
from infra.stores.registry import configured_store, store_named
from infra.stores.store import Store

_PYMONGO_DETAILS = re.compile(r" \(configured timeouts|, full error:")

SWITCH_SECONDS = 0.0005
"""Interval between thread switches during a copy: a tenth of the default."""


def back_up(
    settings: Settings,
    file: Path,
    *,
    overwrite: bool,
    progress: Callable[[int, int], None],
    attachments_progress: Callable[[int], None],
) -> BackupResult:
    """Copy the embedded store to `file`, and its attachments to a folder next to it."""
    try:
        size_bytes = copy_store(
            settings.data_dir / HISTORY_FILE,
            file,
            overwrite=overwrite,
            progress=progress,
            attachments_progress=attachments_progress,
        )
    except BackupFailed as error:
        raise CommandFailed(str(error)) from error
    folder = attachments_of(file)
    return BackupResult(size_bytes=size_bytes, folder=folder if folder.exists() else None)


async def import_history(
    settings: Settings, options: ImportOptions, progress: Callable[[int, int], None]
) -> CopyProgress:
    """Import the interactions and attachments of a file into the configured store, or only check the file.

    Raises:
        ConfigurationError: The embedded store is in use by the service.
        CommandFailed: A line is invalid, the file cannot be read, the store does not answer, or the file holds
            attachments and the store takes none.
    """
    clock = SystemClock()
    store = configured_store(settings)
    with _copy_errors():
        _require_file(options.file)
        if options.is_dry_run:
            source = InteractionFile(options.file, options.on_invalid_line)
            return await source.looked_through(progress, _first_kept_id(settings, clock))
        async with (
            store.open_archive(settings, clock) as target,
            store.open_attachments(settings, clock) as attachments,
        ):
            source = InteractionFile(
                options.file, options.on_invalid_line, are_texts_apart=attachments is not None
            )
            if attachments is None and source.has_attachments():
                raise CommandFailed(_no_place(store, f"{options.file} holds attachments"))
            state = CheckpointFile(settings.data_dir, source.fingerprint(), target.name)
            copy = CopyHistory(
                source,
                target.archive,
                state,
                digest_of_line,
                clock,
                lambda: _first_kept_id(settings, clock),
                None
                if attachments is None
                else CarryContents(
                    source, attachments, content_ids_of, is_target_in_use=not store.is_embedded
                ),
                _with_long_texts_of(attachments),
                target.records,
            )
            return await copy(progress)


async def export_history(
    settings: Settings, options: ExportOptions, progress: Callable[[int, int], None]
) -> Checksum:
    """Export the configured store, or the interactions of one user, to a file.

    Raises:
        ConfigurationError: Two stores are configured.
        CommandFailed: There is nothing to export, the store does not answer, or the file cannot be written.
    """
    store = configured_store(settings)
    _require_content(store, settings)
    if undelivered := _count_undelivered(store, settings):
        options.on_undelivered(undelivered)
    clock = SystemClock()
    with _copy_errors(store):
        async with (
            store.open_archive_reader(settings, clock) as opened,
            store.open_attachments(settings, clock) as attachments,
        ):
            exported = await export_to(
                options.file,
                opened.reader,
                contents=attachments,
                records=opened.records,
                store_name=opened.name,
                user_id=options.user_id,
                overwrite=options.overwrite,
                progress=progress,
                first_kept_id=_first_kept_id(settings, clock),
            )
            if exported.missing:
                options.on_missing(exported.missing)
            return exported.summed


async def migrate(
    settings: Settings,
    source_name: str,
    target_name: str,
    progress: Callable[[int, int], None],
) -> CopyProgress:
    """Copy history from one store to another, given their names in the registry.

    Raises:
        ConfigurationError: A store is not configured, or the embedded one is in use by the service.
        CommandFailed: Both are the same store, a store does not answer, this host has not delivered all interactions
            to the source, or the source holds attachments and the target takes none.
    """
    if source_name == target_name:
        raise CommandFailed(
            f"{source_name} to {target_name} is not a migration; to copy a store, use the tools of its database"
        )
    source, target = store_named(source_name), store_named(target_name)
    _require_content(source, settings)
    if undelivered := _count_undelivered(source, settings):
        raise CommandFailed(
            f"{undelivered} interactions in {settings.data_dir / OUTBOX_FOLDER} are not in {source_name} yet: start the "
            "service with its previous settings until they are delivered (rt_outbox_rows and rt_outbox_set_aside_rows are 0), "
            "stop it, and run this command again"
        )
    clock = SystemClock()
    with _copy_errors(source):
        async with (
            source.open_archive(settings, clock) as opened_source,
            target.open_archive(settings, clock) as opened_target,
            source.open_attachments(settings, clock) as source_contents,
            target.open_attachments(settings, clock) as target_contents,
        ):
            if target_contents is None and await _holds_any(source_contents):
                raise CommandFailed(_no_place(target, f"{source_name} holds attachments"))
            state = CheckpointFile(settings.data_dir, opened_source.name, opened_target.name)
            copy = CopyHistory(
                StoreSource(
                    opened_source.archive,
                    opened_source.records,
                    has_contents=source_contents is not None,
                ),
                opened_target.archive,
                state,
                digest_of,
                clock,
                lambda: _first_kept_id(settings, clock),
                None
                if source_contents is None or target_contents is None
                else CarryContents(
                    source_contents, target_contents, content_ids_of, is_target_in_use=False
                ),
                records=opened_target.records,
            )
            return await copy(progress)


def _first_kept_id(settings: Settings, clock: Clock) -> str:
    return Retention(settings.history_retention_days).first_kept_id(clock.now_milliseconds())


def _with_long_texts_of(
    contents: AttachmentStore | None,
) -> Callable[[Record], Awaitable[Record]]:
    if contents is None:
        return as_stored
    return lambda record: with_long_texts(record, contents)


async def _holds_any(contents: AttachmentStore | None) -> bool:
    if contents is None:
        return False
    async for _ in contents.references():
        return True
    return False


def _no_place(store: Store, reason: str) -> str:
    """Return the message that a store is not configured for attachments, and what to do."""
    if store.attachments_setting is None:
        return f"{reason}, and {store.name} takes none"
    return f"{reason}: set {store.attachments_setting}, where {store.name} stores them, and run this command again"


def _require_file(file: Path) -> None:
    if not file.exists():
        raise CommandFailed(f"{file} does not exist")
    if not file.is_file():
        raise CommandFailed(
            f"{file} is not a file: an import needs a regular file, so that it can resume"
        )


def _require_content(source: Store, settings: Settings) -> None:
    if (reason := source.nothing_to_copy(settings)) is not None:
        raise CommandFailed(reason)


def _count_undelivered(source: Store, settings: Settings) -> int:
    """Return the number of interactions in this host's outbox that are not in the store yet."""
    return 0 if source.is_embedded else count_waiting(settings.data_dir / OUTBOX_FOLDER)


@contextmanager
def _copy_errors(source: Store | None = None) -> Iterator[None]:
    """Raise the errors of a copy, out of a store if it has one, as `CommandFailed`: one line with the next step.

    Threads switch more often within the block: the thread that writes to SQLite takes the interpreter lock a dozen times
    per batch, and would wait each time while the next batch is read and checked.
    """
    previous_seconds = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    except InvalidLine as error:
        raise CommandFailed(
            f"{error}; correct it and run this command again, or skip invalid lines with --skip-invalid"
        ) from error
    except ContentsNotConfigured as error:
        assert source is not None
        raise CommandFailed(
            _no_place(source, "interactions refer to attachments or long texts")
        ) from error
    except (ExportFailed, UnreadableDocument) as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}") from error
    except HistoryError as error:
        raise CommandFailed(
            f"{error}{_cause_of(error)}; what was copied so far stays, and the next run resumes from there"
        ) from error
    finally:
        sys.setswitchinterval(previous_seconds)


def _cause_of(error: BaseException) -> str:
    """Return the driver's original message in brackets, without the timeouts and topology that pymongo appends."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return "" if cause is error else f" ({_PYMONGO_DETAILS.split(str(cause))[0]})"

"""Copies the embedded store, with its attachments, while the service uses it."""

import secrets
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw

from domain.exceptions import HistoryDamaged
from infra.attachments.disk import ATTACHMENTS_FOLDER
from infra.history.sqlite.schema import open_reader
from infra.history.transfer.attachments_copy import AttachmentsCopy
from infra.storage.private_files import make_private_file, sync_folder

_PAGES_AT_ONCE = 1024


ATTACHMENTS_SUFFIX = ".attachments"
"""Follows the name of a copy in the name of the folder with its attachments."""


class BackupFailed(Exception):
    """No copy was made; the message is one line for the operator."""


def back_up(
    source: Path,
    target: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    attachments_progress: Callable[[int], None] = lambda _count: None,
    overwrite: bool = False,
) -> int:
    """Copy a snapshot of the SQLite file `source` to `target`, with the attachments next to it; check the copies. Blocks.

    The copy is one ordinary file, and one folder where there are attachments: moved in place of the store's own while no
    service runs, they restore the store. Both appear only when they are complete. Attachments are copied before the
    snapshot and, if they are new, after it, so that the copy has all to which the snapshot refers, except those that
    were stored and erased meanwhile.

    Args:
        source: The file to copy; it may be in use. Its attachments are in the folder `attachments` next to it.
        target: The copy, created with mode 0600; `.attachments` follows its name in that of the folder.
        progress: Called with the number of pages copied and the number of all pages.
        attachments_progress: Called with the number of attachments copied.
        overwrite: Whether an existing `target` and its folder are replaced.

    Returns:
        The size of the copies in bytes.

    Raises:
        BackupFailed: `source` does not exist, `target` exists, or a file cannot be read or written.
    """
    if not source.is_file():
        raise BackupFailed(f"{source} does not exist")
    target_folder = attachments_of(target)
    _refuse_taken(target, target_folder, overwrite=overwrite)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    partial_folder = attachments_of(partial)
    attachments = AttachmentsCopy(source.with_name(ATTACHMENTS_FOLDER), partial_folder)
    try:
        make_private_file(partial)
        attachments.add_new(attachments_progress)
        _copy(source, partial, progress)
        attachments.add_new(attachments_progress)
        _refuse_taken(target, target_folder, overwrite=overwrite)
        _replace_folder(partial_folder, target_folder)
        partial.replace(target)
        sync_folder(target.parent)
        return target.stat().st_size + attachments.size_bytes
    except HistoryDamaged as exc:
        raise BackupFailed(f"{source.with_name(ATTACHMENTS_FOLDER)} is damaged: {exc}") from exc
    except (OSError, apsw.Error) as exc:
        raise BackupFailed(f"{source} could not be copied to {target}: {exc}") from exc
    finally:
        for leftover in ("", "-wal", "-shm", "-journal"):
            partial.with_name(partial.name + leftover).unlink(missing_ok=True)
        shutil.rmtree(partial_folder, ignore_errors=True)


def attachments_of(copy: Path) -> Path:
    """Return the path of the folder with the attachments of a copy."""
    return copy.with_name(copy.name + ATTACHMENTS_SUFFIX)


def _refuse_taken(target: Path, target_folder: Path, *, overwrite: bool) -> None:
    if target.is_dir() or (target.exists() and not overwrite):
        raise BackupFailed(f"{target} exists already")
    if target_folder.exists() and not (overwrite and target_folder.is_dir()):
        raise BackupFailed(f"{target_folder} exists already")


def _replace_folder(new: Path, target: Path) -> None:
    """Put a folder in place of another; without a new one only remove that."""
    if target.exists():
        old = new.with_suffix(".old")
        target.rename(old)
        shutil.rmtree(old)
    if new.exists():
        new.rename(target)


def _copy(source: Path, partial: Path, progress: Callable[[int, int], None]) -> None:
    with (
        closing(open_reader(source)) as reader,
        closing(apsw.Connection(str(partial), flags=apsw.SQLITE_OPEN_READWRITE)) as copy,
    ):
        # A read transaction keeps the snapshot: without it each write of the service would restart the copy.
        reader.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
        with copy.backup("main", reader, "main") as backup:
            while not backup.done:
                backup.step(_PAGES_AT_ONCE)
                progress(backup.page_count - backup.remaining, backup.page_count)
        reader.execute("COMMIT")
        copy.pragma("synchronous", "extra")
        copy.pragma("journal_mode", "delete")  # one file, without a write-ahead log
        verdict = copy.pragma("integrity_check")
        if verdict != "ok":
            raise BackupFailed(f"{source} is damaged: {verdict}")

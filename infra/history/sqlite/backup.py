"""Copies the embedded store while the service uses it."""

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw

from infra.history.sqlite.schema import open_reader
from infra.storage.private_files import make_private_file, sync_folder

_PAGES_AT_ONCE = 1024


class BackupFailed(Exception):
    """No copy was made; the message is one line for the operator."""


def back_up(
    source: Path,
    target: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    overwrite: bool = False,
) -> int:
    """Copy a snapshot of the SQLite file `source` to `target`, and check the copy. Blocks.

    The copy is one ordinary file: moved in place of the store's own while no service runs, it restores the store.
    `target` appears only when it is complete.

    Args:
        source: The file to copy; it may be in use.
        target: The copy, created with mode 0600.
        progress: Called with the number of pages copied and the number of all pages.
        overwrite: Whether an existing `target` is replaced.

    Returns:
        The size of the copy in bytes.

    Raises:
        BackupFailed: `source` does not exist, `target` exists, or a file cannot be read or written.
    """
    if not source.is_file():
        raise BackupFailed(f"{source} does not exist")
    _refuse_taken(target, overwrite=overwrite)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        make_private_file(partial)
        _copy(source, partial, progress)
        _refuse_taken(target, overwrite=overwrite)
        partial.replace(target)
        sync_folder(target.parent)
        return target.stat().st_size
    except (OSError, apsw.Error) as exc:
        raise BackupFailed(f"{source} could not be copied to {target}: {exc}") from exc
    finally:
        for leftover in ("", "-wal", "-shm", "-journal"):
            partial.with_name(partial.name + leftover).unlink(missing_ok=True)


def _refuse_taken(target: Path, *, overwrite: bool) -> None:
    if target.is_dir() or (target.exists() and not overwrite):
        raise BackupFailed(f"{target} exists already")


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

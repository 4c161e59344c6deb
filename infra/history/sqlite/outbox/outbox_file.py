"""The SQLite file of an outbox: acquiring, counting and removing it."""

import secrets
from contextlib import closing, suppress
from pathlib import Path

import apsw

from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.outbox.complete_conversations import try_to_make_tables
from infra.history.sqlite.outbox.delivery_jobs import (
    SetAside,
    count_refused,
    read_backlog,
    read_set_aside,
)
from infra.history.sqlite.outbox.tombstone_log import try_to_make_log
from infra.history.sqlite.schema import open_reader
from infra.history.sqlite.store import lock_path
from infra.storage.sqlite.file_lock import FileLock

_LOG_FILES = ("-wal", "-shm")


class OutboxCommitter(SqliteCommitter):
    """Commits batches, and reads the backlog after each.

    Attributes:
        backlog: The undelivered rows, as of the last commit.
        set_aside: The rows set aside, as of the last commit; none before the first.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.backlog = read_backlog(connection)
        self.set_aside = SetAside()
        try_to_make_tables(connection)
        try_to_make_log(connection)

    def settle(self) -> None:
        with suppress(apsw.Error):  # the backlog as of the last commit is sufficient
            self.backlog = read_backlog(self._connection)
            self.set_aside = read_set_aside(self._connection)
        super().settle()


def count_waiting(folder: Path) -> int:
    """Return the number of interactions that only the outboxes in a folder have, also those of running processes.

    Rows that were set aside count.
    """
    waiting = 0
    for path in sorted(folder.glob("*.db")):
        # a file that is being created has no tables yet, and one that was just taken over does not exist
        with suppress(apsw.CantOpenError, apsw.SQLError), closing(open_reader(path)) as file:
            waiting += read_backlog(file).rows + count_refused(file)
    return waiting


def acquire_outbox(folder: Path) -> tuple[Path, FileLock]:
    """Return an outbox for this process alone, and its lock: the largest one without a process, else a new one.

    Reusing the file of a dead process saves copying its rows.
    """
    abandoned = sorted(folder.glob("*.db"), key=_size_bytes, reverse=True)
    for path in abandoned:
        lock = lock_if_abandoned(path)
        if lock is not None:
            return path, lock
    while True:
        path = folder / f"{secrets.token_hex(8)}.db"
        lock = FileLock.try_to_acquire(lock_path(path))
        if lock is not None:
            return path, lock


def lock_if_abandoned(path: Path) -> FileLock | None:
    """Return the lock of an outbox whose process died; None while that runs, or if the file was taken over."""
    lock = FileLock.try_to_acquire(lock_path(path))
    if lock is not None and not path.exists():
        lock.path.unlink(missing_ok=True)
        lock.release()
        return None
    return lock


def remove(path: Path, lock: FileLock) -> None:
    """Remove an outbox whose rows were taken over."""
    path.unlink()
    for name in _LOG_FILES:
        path.with_name(path.name + name).unlink(missing_ok=True)
    lock.path.unlink(missing_ok=True)
    lock.release()


def _size_bytes(path: Path) -> int:
    sizes = 0
    for name in ("", *_LOG_FILES):
        with suppress(FileNotFoundError):
            sizes += path.with_name(path.name + name).stat().st_size
    return sizes

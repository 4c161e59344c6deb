"""The SQLite file in which a process keeps what it accepted."""

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
    """Also knows what is still to be delivered.

    Attributes:
        backlog: As of the last commit.
        set_aside: The same of what was refused; none before the first commit.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.backlog = read_backlog(connection)
        self.set_aside = SetAside()
        try_to_make_tables(connection)
        try_to_make_log(connection)

    def settle(self) -> None:
        with suppress(apsw.Error):  # the figures of a moment ago do as well
            self.backlog = read_backlog(self._connection)
            self.set_aside = read_set_aside(self._connection)
        super().settle()


def count_waiting(folder: Path) -> int:
    """Return how many interactions the outboxes in a folder have not delivered, also those of running processes.

    What was set aside counts: it is in no store either.
    """
    waiting = 0
    for path in sorted(folder.glob("*.db")):
        # one that is being made has no tables yet, one that was taken over a moment ago is gone
        with suppress(apsw.CantOpenError, apsw.SQLError), closing(open_reader(path)) as file:
            waiting += read_backlog(file).rows + count_refused(file)
    return waiting


def acquire_outbox(folder: Path) -> tuple[Path, FileLock]:
    """Return an outbox for this process alone, and its lock: the fullest one nobody holds, else a new one.

    Taking up the file of a process that died saves copying what is in it.
    """
    left_behind = sorted(folder.glob("*.db"), key=_size_bytes, reverse=True)
    for path in left_behind:
        lock = lock_if_abandoned(path)
        if lock is not None:
            return path, lock
    while True:
        path = folder / f"{secrets.token_hex(8)}.db"
        lock = FileLock.try_to_acquire(lock_path(path))
        if lock is not None:
            return path, lock


def lock_if_abandoned(path: Path) -> FileLock | None:
    """Return the lock of an outbox whose process died; None when it lives, or another has taken the file over."""
    lock = FileLock.try_to_acquire(lock_path(path))
    if lock is not None and not path.exists():
        lock.path.unlink(missing_ok=True)
        lock.release()
        return None
    return lock


def remove(path: Path, lock: FileLock) -> None:
    """Remove an outbox from which everything was taken over."""
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

"""The connection to `idempotency.db` in the writer thread: opened on first use and again after a failure."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from domain.exceptions import IdempotencyUnavailable
from domain.interfaces.clock import Clock
from infra.idempotency.sqlite.jobs import SCHEMA, IdempotencyJob
from infra.storage.private_files import make_private_file, make_private_folder
from infra.storage.sqlite.group_commit import Committer

SWEEP_SECONDS = 600.0
SWEPT_AT_ONCE = 5000

_VERSION = 1
_BUSY_MILLISECONDS = 3000
_OPENING_TRIES = 20
_OPENING_PAUSE_SECONDS = 0.05


class SqliteIdempotencyRecords(Committer[IdempotencyJob]):
    """Carries out pending jobs in one transaction. Several processes may share the file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: apsw.Connection | None = None
        self._swept_seconds = clock.monotonic()

    def commit(self, batch: Sequence[IdempotencyJob]) -> bool:
        is_needed = self._connection is not None or any(job.needs_file for job in batch)
        if not is_needed and not self._path.exists():
            return False
        try:
            self._run(self._opened(), batch)
        except (OSError, apsw.Error) as exc:
            self.close()
            raise IdempotencyUnavailable("idempotency.db cannot be used") from exc
        return True

    def settle(self) -> None:
        """Delete expired records every ten minutes."""
        now_seconds = self._clock.monotonic()
        if self._connection is None or now_seconds - self._swept_seconds < SWEEP_SECONDS:
            return
        self._swept_seconds = now_seconds
        with suppress(apsw.Error):  # busy or full; the next sweep tries again
            self._connection.execute(
                "DELETE FROM claim WHERE key IN"
                " (SELECT key FROM claim WHERE expires_ms <= ? LIMIT ?)",
                (self._clock.now_milliseconds(), SWEPT_AT_ONCE),
            )

    def close(self) -> None:
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close()
            self._connection = None

    @staticmethod
    def _run(connection: apsw.Connection, batch: Sequence[IdempotencyJob]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for job in batch:
                job.run(connection)
            connection.execute("COMMIT")
        except BaseException:
            if not connection.get_autocommit():  # some errors roll back the transaction
                connection.execute("ROLLBACK")
            raise

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            make_private_folder(self._path.parent)
            make_private_file(self._path)
            connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _prepare(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    connection.pragma("mmap_size", 0)
    for tries_left in reversed(range(_OPENING_TRIES)):
        try:
            connection.pragma("journal_mode", "wal")
            break
        except apsw.BusyError:
            # While another process creates the file, SQLite ignores the busy timeout here.
            if not tries_left:
                raise
            time.sleep(_OPENING_PAUSE_SECONDS)
    connection.pragma("synchronous", "full")
    connection.pragma("fullfsync", 1)
    connection.pragma("secure_delete", 1)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.pragma("user_version")
        if version > _VERSION:
            raise apsw.Error("the file was written by a newer version of this program")
        if version == 0:
            connection.execute(SCHEMA)
            connection.pragma("user_version", _VERSION)
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        raise

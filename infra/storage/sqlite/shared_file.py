"""A SQLite file that the processes of one host share: each writes it over one connection."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import apsw

from infra.storage.private_files import make_private_file, make_private_folder

_BUSY_MILLISECONDS = 3000
_OPENING_TRIES = 20
_OPENING_PAUSE_SECONDS = 0.05


class FileJob(Protocol):
    """One step within a transaction that several jobs share.

    Attributes:
        needs_file: False: without a file the job has nothing to do.
    """

    needs_file: bool

    @property
    def size_bytes(self) -> int: ...

    def run(self, connection: apsw.Connection) -> None:
        """Carry out the job; runs in the writer thread, and again if another job of its transaction fails."""
        ...


J = TypeVar("J", bound=FileJob)


class SharedFile(Generic[J]):
    """The connection of a writer thread: opened on first use and again after a failure.

    Attributes:
        connection: None while the file is not open.
    """

    def __init__(self, path: Path, schema: str) -> None:
        """Use the file `path`, whose `user_version` is 1 once it has the tables of `schema`."""
        self.connection: apsw.Connection | None = None
        self._path = path
        self._schema = schema

    def run(self, batch: Sequence[J]) -> bool:
        """Carry out the jobs in one transaction; return False if there is no file and none of them needs one.

        Raises:
            OSError: The file cannot be made.
            apsw.Error: Nothing was written.
        """
        is_needed = self.connection is not None or any(job.needs_file for job in batch)
        if not is_needed and not self._path.exists():
            return False
        try:
            _run(self._opened(), batch)
        except (OSError, apsw.Error):
            self.close()
            raise
        return True

    def close(self) -> None:
        """Close the file; the next job opens it again."""
        if self.connection is not None:
            with suppress(apsw.Error):
                self.connection.close()
            self.connection = None

    def _opened(self) -> apsw.Connection:
        if self.connection is None:
            make_private_folder(self._path.parent)
            make_private_file(self._path)
            connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                _prepare(connection, self._schema)
            except BaseException:
                connection.close()
                raise
            self.connection = connection
        return self.connection


def _run(connection: apsw.Connection, batch: Sequence[J]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for job in batch:
            job.run(connection)
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():  # some errors roll back the transaction
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: apsw.Connection, schema: str) -> None:
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
        if version > 1:
            raise apsw.Error("the file was written by a newer version of this program")
        if version == 0:
            connection.execute(schema)
            connection.pragma("user_version", 1)
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        raise

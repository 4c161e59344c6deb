"""`keys.db`: the API keys of an installation in SQLite, shared by all its processes.

It uses a rollback journal rather than a write-ahead log, since it is rarely written and the service may only have
read access. A connection is opened for each operation, so that a replaced file is noticed.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from domain.entities.api_key import ApiKey
from domain.entities.caller import Scope
from infra.storage.private_files import make_private_file, make_private_folder

KEYS_FILE = "keys.db"

_BUSY_MILLISECONDS = 5000
_VERSION = 1
_TABLE = """
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT,
    scopes TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) WITHOUT ROWID;
"""
_SELECT = """
SELECT id, digest, name, user_id, scopes, created_ms, expires_ms, revoked_ms FROM api_key
ORDER BY created_ms, id
"""
_INSERT = """
INSERT INTO api_key (id, digest, name, user_id, scopes, created_ms, expires_ms, revoked_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class NewerKeyFile(Exception):
    """The file was written by a newer version of this program."""


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return a value that differs after every change or replacement of the file; empty if there is no file.

    Reads the change counter in the header (SQLite file format, section 1.3.7). Not to be called while the process has
    a connection to the file: closing a file releases all POSIX locks of the process on it.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return ()
    try:
        status = os.fstat(descriptor)
        header = os.read(descriptor, 28)
    finally:
        os.close(descriptor)
    return status.st_dev, status.st_ino, status.st_size, int.from_bytes(header[24:])


def read_keys(path: Path) -> list[ApiKey]:
    """Return all keys, oldest first; none if there is no file.

    Raises:
        apsw.Error: The file cannot be read.
        NewerKeyFile: The file was written by a newer version.
    """
    if not path.exists():
        return []
    with closing(_opened(path)) as connection:
        version = connection.pragma("user_version")
        if version > _VERSION:
            raise NewerKeyFile
        if version == 0:  # another process is creating it
            return []
        return [_key(*row) for row in connection.execute(_SELECT)]


@contextmanager
def writing_keys(path: Path) -> Iterator[apsw.Connection]:
    """Open a transaction that is durable when the block ends; create the file if it is missing.

    Raises:
        OSError: The folder cannot be created.
        apsw.Error: The file cannot be written.
        NewerKeyFile: The file was written by a newer version.
    """
    make_private_folder(path.parent)
    make_private_file(path)
    with closing(_opened(path)) as connection:
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", 1)
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = connection.pragma("user_version")
            if version > _VERSION:
                raise NewerKeyFile
            if version == 0:
                connection.execute(_TABLE)
                connection.pragma("user_version", _VERSION)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if not connection.get_autocommit():  # some errors roll back automatically
                connection.execute("ROLLBACK")
            raise


def insert_key(connection: apsw.Connection, key: ApiKey) -> None:
    """Insert `key`; raises `apsw.ConstraintError` if its id exists."""
    connection.execute(
        _INSERT,
        (
            key.id,
            key.digest,
            key.name,
            key.user_id,
            " ".join(sorted(key.scopes)),
            key.created_milliseconds,
            key.expires_milliseconds,
            key.revoked_milliseconds,
        ),
    )


def revoke_key(connection: apsw.Connection, key_id: str, now_milliseconds: int) -> bool:
    """Mark the key as revoked and return whether it exists. A second call keeps the first time."""
    connection.execute(
        "UPDATE api_key SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
        (now_milliseconds, key_id),
    )
    return connection.changes() > 0


def _opened(path: Path) -> apsw.Connection:
    # SQLite opens the file read-only if it is not writable. Otherwise readers also roll back the journal of a writer
    # that died.
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    connection.pragma("mmap_size", 0)
    return connection


def _key(
    key_id: str,
    digest: bytes,
    name: str,
    user_id: str | None,
    scopes: str,
    created_milliseconds: int,
    expires_milliseconds: int | None,
    revoked_milliseconds: int | None,
) -> ApiKey:
    known = {scope.value: scope for scope in Scope}
    return ApiKey(
        id=key_id,
        digest=digest,
        name=name,
        user_id=user_id,
        scopes=frozenset(known[scope] for scope in scopes.split() if scope in known),
        created_milliseconds=created_milliseconds,
        expires_milliseconds=expires_milliseconds,
        revoked_milliseconds=revoked_milliseconds,
    )

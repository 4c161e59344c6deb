"""`keys.db`: the keys of this installation, shared by all its processes.

A rollback journal rather than a write-ahead log: it is written a few times a year, and then may lie on a disk that
only the command line can write. Every connection is opened for one piece of work, so that a file that was replaced is
seen as it is now.
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
    """Return what is another after every change of the file or its replacement; empty where there is none.

    Costs two small reads: SQLite counts the changes in the file's header (its file format, 1.3.7). Only for threads
    that hold no connection to it: closing a file lets go of all the locks the process has on it.

    Raises:
        OSError: It cannot be read.
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
    """Return every key, oldest first; none where there is no file yet.

    Raises:
        apsw.Error: It cannot be read.
        NewerKeyFile: It is not for this version.
    """
    if not path.exists():
        return []
    with closing(_opened(path)) as connection:
        version = connection.pragma("user_version")
        if version > _VERSION:
            raise NewerKeyFile
        if version == 0:  # somebody is making it right now
            return []
        return [_key(*row) for row in connection.execute(_SELECT)]


@contextmanager
def writing_keys(path: Path) -> Iterator[apsw.Connection]:
    """Give a connection within one transaction, which is durable when the block ends; the file is made if missing.

    Raises:
        OSError: Its folder cannot be made.
        apsw.Error: It cannot be written.
        NewerKeyFile: It is not for this version.
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
            if not connection.get_autocommit():  # some errors have rolled back by themselves
                connection.execute("ROLLBACK")
            raise


def insert_key(connection: apsw.Connection, key: ApiKey) -> None:
    """Add `key`; an id that is there already is an `apsw.ConstraintError`."""
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
    """Mark the key as revoked, once, and return whether there is one."""
    connection.execute(
        "UPDATE api_key SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
        (now_milliseconds, key_id),
    )
    return connection.changes() > 0


def _opened(path: Path) -> apsw.Connection:
    # Where the file can only be read, SQLite opens it so. Where it can be written, also a reader clears up after a
    # writer that died.
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

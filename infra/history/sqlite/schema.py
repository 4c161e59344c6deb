"""The embedded store's file: its tables, its schema versions and opening it."""

from collections.abc import Sequence
from pathlib import Path

import apsw

from infra.configuration import ConfigurationError
from infra.history.sqlite.search.index import CANONICAL_WORDS, MakeWordIndex
from infra.history.sqlite.search.purge import PURGE
from infra.storage.private_files import make_private_file
from infra.storage.sqlite.migrations import Step, migrate

# Older ones can corrupt a write-ahead log under load (fixed in 3.51.3).
LEAST_SQLITE = (3, 51, 3)

_BUSY_MILLISECONDS = 5000
_CACHE_KIBIBYTES = 16 * 1024
_KEPT_LOG_BYTES = 64 * 1024 * 1024

INTERACTIONS = """
CREATE TABLE interaction (
    seq INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    conversation_id TEXT,
    model TEXT NOT NULL,
    provider TEXT,
    status TEXT NOT NULL,
    answered INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX by_id ON interaction (user_id, id);
CREATE INDEX by_answered ON interaction (user_id, answered, id, status, provider);
CREATE INDEX by_model ON interaction (user_id, model, id, answered);
CREATE INDEX by_conversation ON interaction (user_id, conversation_id, id)
    WHERE conversation_id IS NOT NULL;

CREATE TABLE started (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX started_by_due ON started (due_ms);
CREATE TRIGGER outcome_ends_marker AFTER INSERT ON interaction BEGIN
    DELETE FROM started WHERE id = NEW.id;
END;

CREATE TABLE erased_interaction (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (user_id, id)
) WITHOUT ROWID;
CREATE TABLE erased_user (
    user_id TEXT PRIMARY KEY,
    before_id TEXT NOT NULL,
    unfinished INTEGER NOT NULL
) WITHOUT ROWID;
"""

TURNS_BY_ID = """
CREATE INDEX turns_by_id ON interaction (user_id, id, conversation_id)
    WHERE conversation_id IS NOT NULL;
"""

# Covers all columns of the sums: reading the bodies takes ten times as long.
FIGURES = """
CREATE INDEX figures ON interaction (
    user_id, id, model, provider, status, answered, body ->> '$.seconds',
    body ->> '$.usage.input', body ->> '$.usage.output', body ->> '$.usage.costUsd'
);
"""

FIGURES_WITH_CACHES = """
DROP INDEX figures;
CREATE INDEX figures ON interaction (
    user_id, id, model, provider, status, answered, body ->> '$.seconds',
    body ->> '$.usage.input', body ->> '$.usage.output', body ->> '$.usage.costUsd',
    body ->> '$.usage.cachedInput', body ->> '$.usage.cacheWrite'
);
"""

CONVERSATION_RECORDS = """
CREATE TABLE conversation (
    seq INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_id TEXT NOT NULL,
    changed_id TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX conversation_by_id ON conversation (user_id, id);
CREATE INDEX conversation_by_change ON conversation (changed_id);
"""

# A column for what groups the sums: SQLite takes an expression in GROUP BY from the bodies, not from the index.
USAGE = """
ALTER TABLE interaction ADD COLUMN credential TEXT GENERATED ALWAYS AS (body ->> '$.credential') VIRTUAL;
CREATE INDEX usage ON interaction (
    id, model, credential, status, body ->> '$.usage.input', body ->> '$.usage.output',
    body ->> '$.usage.reasoning', body ->> '$.usage.cachedInput', body ->> '$.usage.cacheWrite',
    body ->> '$.usage.costUsd'
);
"""

HISTORY_MIGRATIONS: tuple[Step, ...] = (
    *(INTERACTIONS, TURNS_BY_ID, FIGURES, MakeWordIndex(), PURGE),
    CANONICAL_WORDS,
    CONVERSATION_RECORDS,
    FIGURES_WITH_CACHES,
    USAGE,
)
"""Each step leads to the next `user_version` of the file; steps are only added at the end."""


def open_writer(path: Path, migrations: Sequence[Step]) -> apsw.Connection:
    """Return the one connection that may write `path`; the file is created and migrated where needed.

    Blocks; the caller holds the file's lock.

    Raises:
        ConfigurationError: The SQLite library is too old, or the file is of a newer program.
        apsw.Error: The file cannot be opened or written.
    """
    if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < LEAST_SQLITE:
        least = ".".join(str(part) for part in LEAST_SQLITE)
        raise ConfigurationError(f"SQLite {least} or newer is needed: install a newer apsw")
    make_private_file(path)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_MILLISECONDS)
        for name, value in (
            ("journal_mode", "wal"),
            ("synchronous", "full"),
            ("fullfsync", 1),  # macOS syncs to the disk only on request
            ("mmap_size", 0),
            ("wal_autocheckpoint", 0),  # done by the committer, after it has notified its callers
            ("journal_size_limit", _KEPT_LOG_BYTES),
            ("cache_size", -_CACHE_KIBIBYTES),
            ("secure_delete", 1),  # overwrites erased rows in the file
        ):
            connection.pragma(name, value)
        migrate(connection, migrations, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a read-only connection that never checkpoints.

    Raises:
        apsw.Error: The file does not exist or cannot be read.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("mmap_size", 0)
    return connection

"""The tombstones of an outbox in the order in which they were written, so that other processes read only new ones.

The table and its triggers are not part of the file's version: earlier releases can still use the file, and their
erasures are logged by the triggers as well.
"""

from contextlib import suppress
from dataclasses import dataclass

import apsw

from infra.history.sqlite.tombstones import all_tombstones

PAGE_ENTRIES = 5000
"""Entries that are read at once: some milliseconds, and about 500 kB."""

_HAS_LOG = "SELECT count(*) FROM sqlite_schema WHERE name = 'tombstone_log'"
_LOG = """
CREATE TABLE tombstone_log (
    position INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    id TEXT,
    before_id TEXT
);
INSERT INTO tombstone_log (user_id, id) SELECT user_id, id FROM erased_interaction;
INSERT INTO tombstone_log (user_id, before_id) SELECT user_id, before_id FROM erased_user;
CREATE TRIGGER log_erased_interaction AFTER INSERT ON erased_interaction BEGIN
    INSERT INTO tombstone_log (user_id, id) VALUES (NEW.user_id, NEW.id);
END;
CREATE TRIGGER log_erased_user AFTER INSERT ON erased_user BEGIN
    INSERT INTO tombstone_log (user_id, before_id) VALUES (NEW.user_id, NEW.before_id);
END;
CREATE TRIGGER log_later_erased_user AFTER UPDATE OF before_id ON erased_user
WHEN NEW.before_id > OLD.before_id BEGIN
    INSERT INTO tombstone_log (user_id, before_id) VALUES (NEW.user_id, NEW.before_id);
END;
"""
_ENTRY = "SELECT position, user_id, id, before_id FROM tombstone_log WHERE position = ?"
_NEXT = """
WITH page AS MATERIALIZED (
    SELECT position, user_id, id, before_id FROM tombstone_log
    WHERE position > ? ORDER BY position LIMIT ?
)
SELECT (SELECT max(position) FROM page), CAST(json_object(
    'one', json((
        SELECT json_group_array(json_array(user_id, id)) FROM page WHERE id IS NOT NULL
    )),
    'all', json((
        SELECT json_group_array(json_array(user_id, before_id)) FROM page WHERE id IS NULL
    ))
) AS BLOB)
"""

Entry = tuple[int, str, str | None, str | None]
"""A row of the log: its position, the user, and either an interaction's id or the id below which all are erased."""


@dataclass(frozen=True, slots=True)
class NewTombstones:
    """Tombstones of a file that were not read before.

    Attributes:
        tombstones: As `KeepTombstones` takes them; empty when there are none.
        last: The last entry read so far, to read on from; None for a file without a log.
        has_more: Whether the next page may hold more.
    """

    tombstones: bytes
    last: Entry | None = None
    has_more: bool = False


def make_log(connection: apsw.Connection) -> None:
    """Create the log of a file that has none, with the existing tombstones."""
    with connection:
        if not _has_log(connection):
            connection.execute(_LOG)


def try_to_make_log(connection: apsw.Connection) -> None:
    """Create the log if the disk permits it; until then other processes read all tombstones of the file each time."""
    with suppress(apsw.Error):
        make_log(connection)


def tombstones_after(connection: apsw.Connection, seen: Entry | None) -> NewTombstones:
    """Return the next page of a file's tombstones; all of them where the file has no log.

    Args:
        connection: To the file.
        seen: The last entry that was read of it; None reads from the first. An entry that the file does not hold was
            read of another file under the same name, and counts as None.
    """
    with connection:  # all statements see the same state
        if not _has_log(connection):
            return NewTombstones(all_tombstones(connection))
        if seen is not None and connection.execute(_ENTRY, (seen[0],)).fetchone() != seen:
            seen = None
        first = 0 if seen is None else seen[0]
        last, tombstones = next(connection.execute(_NEXT, (first, PAGE_ENTRIES)))
        if last is None:
            return NewTombstones(b"", seen)
        entry: Entry = next(connection.execute(_ENTRY, (last,)))
    return NewTombstones(tombstones, entry, has_more=last - first >= PAGE_ENTRIES)


def _has_log(connection: apsw.Connection) -> bool:
    return bool(connection.execute(_HAS_LOG).get)

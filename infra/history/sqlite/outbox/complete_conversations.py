"""Tracks which conversations are complete in the outboxes of a host.

A conversation without turns in the store and on this host begins here: where no other host writes to the store, all
its turns go through the outboxes of this host. One that continues an interaction outside of any conversation has the id
of that interaction, and begins with it. The turns stay there until delivered rows are purged, or are lost with the
outbox of a dead process. Each outbox records up to when it may have lost rows in this way: a conversation that began
after that time, in every outbox of the host, is complete.

The tables are not part of the file's version, so that earlier releases can still use the file.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import apsw

from domain.entities.interaction import is_interaction_id, milliseconds_of

_TABLES = """
CREATE TABLE IF NOT EXISTS begun_conversation (
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS begun_by_time ON begun_conversation (at_ms);
CREATE TABLE IF NOT EXISTS rows_lost (until_ms INTEGER NOT NULL);
"""
# A file that an earlier release used may have lost rows without a record.
_FIRST_NOTE = """
INSERT INTO rows_lost
SELECT CASE WHEN EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'undelivered')
    THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) ELSE 0 END
WHERE NOT EXISTS (SELECT 1 FROM rows_lost)
"""
_HAS_FIRST_TURN = "SELECT EXISTS (SELECT 1 FROM interaction WHERE user_id = ? AND id = ? AND conversation_id IS NULL)"
_HAS_TABLES = "SELECT count(*) FROM sqlite_schema WHERE name IN ('begun_conversation', 'rows_lost')"


@dataclass(frozen=True, slots=True)
class NoteBegun:
    """Records that a conversation had no turns at a time, in the store and on this host."""

    user_id: str
    conversation_id: str
    at_milliseconds: int
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        make_tables(connection)
        connection.execute(
            "INSERT OR REPLACE INTO begun_conversation VALUES (?, ?, ?)",
            (self.user_id, self.conversation_id, self.at_milliseconds),
        )


@dataclass(frozen=True, slots=True)
class NoteRowsLost:
    """Records that rows accepted up to a time may be missing."""

    until_milliseconds: int
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        note_rows_lost(connection, self.until_milliseconds)


def make_tables(connection: apsw.Connection) -> None:
    """Create the tables where they are missing; inside a transaction or outside."""
    if connection.execute(_HAS_TABLES).get != 2:
        connection.execute(_TABLES)
        connection.execute(_FIRST_NOTE)


def try_to_make_tables(connection: apsw.Connection) -> None:
    """Create the tables if the disk permits it; without them no conversation counts as complete."""
    with suppress(apsw.Error), connection:
        make_tables(connection)


def note_rows_lost(connection: apsw.Connection, until_milliseconds: int) -> None:
    """Record that rows accepted up to a time may be missing, and remove records that this makes obsolete."""
    make_tables(connection)
    connection.execute("UPDATE rows_lost SET until_ms = max(until_ms, ?)", (until_milliseconds,))
    connection.execute("DELETE FROM begun_conversation WHERE at_ms <= ?", (until_milliseconds,))


def may_lose_rows(connection: apsw.Connection) -> bool:
    """Return whether removing this outbox after its undelivered rows were taken over loses delivered rows."""
    if connection.execute(_HAS_TABLES).get != 2:
        return True
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM delivered)").get)


def holds_all(outboxes: Sequence[apsw.Connection], user_id: str, conversation_id: str) -> bool:
    """Return whether all turns of a conversation are in these outboxes, which are all outboxes of this host."""
    begun_milliseconds, lost_milliseconds = 0, 0
    is_first_turn = is_interaction_id(conversation_id)
    for outbox in outboxes:
        if outbox.execute(_HAS_TABLES).get != 2:
            return False
        begun, lost = next(
            outbox.execute(
                "SELECT coalesce((SELECT at_ms FROM begun_conversation"
                " WHERE user_id = ? AND conversation_id = ?), 0), (SELECT until_ms FROM rows_lost)",
                (user_id, conversation_id),
            )
        )
        begun_milliseconds = max(begun_milliseconds, begun)
        if is_first_turn and outbox.execute(_HAS_FIRST_TURN, (user_id, conversation_id)).get:
            begun_milliseconds = max(begun_milliseconds, milliseconds_of(conversation_id))
        lost_milliseconds = max(lost_milliseconds, lost)
    return begun_milliseconds > lost_milliseconds

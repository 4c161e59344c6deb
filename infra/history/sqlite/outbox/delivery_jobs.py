"""The write jobs and queries of an outbox that concern delivery."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw
import orjson

from infra.history.sqlite.outbox.complete_conversations import note_rows_lost

_PURGED_AT_ONCE = 500

_NEXT = """
SELECT json_group_array(position ORDER BY position), CAST(group_concat(body, ',' ORDER BY position) AS BLOB)
FROM (
    SELECT position, seq, bytes, sum(bytes) OVER (ORDER BY position) AS running
    FROM (
        SELECT position, seq, bytes FROM undelivered
        WHERE position NOT IN (SELECT value FROM json_each(:without))
        ORDER BY position LIMIT :rows
    )
)
JOIN interaction USING (seq)
WHERE running - bytes < :bytes
"""
_AT = "SELECT CAST(body AS BLOB) FROM undelivered JOIN interaction USING (seq) WHERE position = ?"
_ONE = """
SELECT position, CAST(body AS BLOB) FROM undelivered JOIN interaction USING (seq)
WHERE position {compared} ? AND position <> ? ORDER BY position LIMIT 1
"""

# Not part of the file's version: a process of an older release on the same volume must still be able to open the file;
# it stores no reason.
_REFUSALS = """
CREATE TABLE IF NOT EXISTS refusal (seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, at_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class SetAside:
    """The rows that are not delivered any more, because they were refused.

    Attributes:
        rows: Their number.
        since_milliseconds: When the first was refused, since 1970 UTC; None when there is none.
    """

    rows: int = 0
    since_milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """The undelivered rows.

    Attributes:
        rows: Their number.
        size_bytes: The size of their bodies.
        oldest_milliseconds: When the oldest was accepted, since 1970 UTC; None when there is none.
    """

    rows: int = 0
    size_bytes: int = 0
    oldest_milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Marks rows as delivered; they stay for reading."""

    positions: Sequence[int]
    now_milliseconds: int
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        positions = orjson.dumps(list(self.positions))
        connection.execute(
            "INSERT OR REPLACE INTO delivered SELECT seq, ? FROM undelivered"
            " WHERE position IN (SELECT value FROM json_each(CAST(? AS TEXT)))",
            (self.now_milliseconds, positions),
        )
        connection.execute(
            "DELETE FROM undelivered"
            " WHERE position IN (SELECT value FROM json_each(CAST(? AS TEXT)))",
            (positions,),
        )


@dataclass(frozen=True, slots=True)
class Refuse:
    """Sets a row aside that the store refuses permanently; it stays readable and is tried again at the next start.

    Attributes:
        position: The position of the row.
        reason: The reason, for operators.
        now_milliseconds: The current time, since 1970 UTC.
    """

    position: int
    reason: str
    now_milliseconds: int
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "INSERT OR IGNORE INTO refused SELECT seq FROM undelivered WHERE position = ?",
            (self.position,),
        )
        connection.execute(_REFUSALS)
        connection.execute(
            "INSERT OR REPLACE INTO refusal SELECT seq, ?, ? FROM undelivered WHERE position = ?",
            (self.reason, self.now_milliseconds, self.position),
        )
        connection.execute("DELETE FROM undelivered WHERE position = ?", (self.position,))


@dataclass(frozen=True, slots=True)
class RetryRefused:
    """Queues the rows again that were set aside."""

    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "INSERT OR IGNORE INTO undelivered (seq, bytes)"
            " SELECT seq, octet_length(body) FROM refused JOIN interaction USING (seq)"
        )
        connection.execute("DELETE FROM refused")
        connection.execute(_REFUSALS)
        connection.execute("DELETE FROM refusal")


@dataclass(slots=True)
class Purge:
    """Removes up to 500 rows that were delivered before a time.

    Attributes:
        before_milliseconds: The time, since 1970 UTC.
        is_finished: Whether it found fewer than that; valid once the job is committed.
    """

    before_milliseconds: int
    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM interaction WHERE seq IN"
            " (SELECT seq FROM delivered WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)",
            (self.before_milliseconds, _PURGED_AT_ONCE),
        )
        purged = connection.changes()
        self.is_finished = purged < _PURGED_AT_ONCE
        if purged:
            note_rows_lost(connection, self.before_milliseconds)


def next_undelivered(
    connection: apsw.Connection, *, rows: int, size_bytes: int, without: Collection[int] = ()
) -> list[tuple[int, dict[str, Any]]]:
    """Return the oldest undelivered documents and their positions.

    Args:
        connection: A connection to the outbox.
        rows: Limit of their number.
        size_bytes: Approximate limit of their size.
        without: Positions to skip.
    """
    positions, bodies = next(
        connection.execute(
            _NEXT,
            {
                "rows": rows,
                "bytes": size_bytes,
                "without": orjson.dumps(list(without)).decode(),
            },
        )
    )
    documents = [] if bodies is None else orjson.loads(b"[" + bodies + b"]")
    return list(zip(orjson.loads(positions), documents, strict=True))


def undelivered_at(connection: apsw.Connection, position: int) -> list[tuple[int, dict[str, Any]]]:
    """Return the undelivered document at a position, if there is one."""
    found = connection.execute(_AT, (position,))
    return [(position, orjson.loads(body)) for (body,) in found]


def undelivered_near(
    connection: apsw.Connection, share: float, *, but: int
) -> list[tuple[int, dict[str, Any]]]:
    """Return the undelivered document nearest to a relative position in the queue, if there is one.

    Args:
        connection: A connection to the outbox.
        share: 0.0 is the oldest, 1.0 the newest.
        but: A position to skip.
    """
    first, last = connection.execute("SELECT min(position), max(position) FROM undelivered").get
    if first is None:
        return []
    place = round(first + share * (last - first))
    for compared in (">=", "<"):
        for position, body in connection.execute(_ONE.format(compared=compared), (place, but)):
            return [(position, orjson.loads(body))]
    return []


def read_backlog(connection: apsw.Connection) -> Backlog:
    """Return the backlog of an outbox; costs the same for any number of rows."""
    return Backlog(
        *next(
            connection.execute(
                "SELECT rows, bytes,"
                " (SELECT accepted_ms FROM undelivered ORDER BY position LIMIT 1) FROM backlog"
            )
        )
    )


def read_set_aside(connection: apsw.Connection) -> SetAside:
    """Return the rows set aside in this process's own file."""
    return SetAside(
        *next(
            connection.execute(
                "SELECT count(*), min(at_ms) FROM refused LEFT JOIN refusal USING (seq)"
            )
        )
    )


def count_refused(connection: apsw.Connection) -> int:
    """Return the number of rows set aside in an outbox, also of an earlier release."""
    counted: int = connection.execute("SELECT count(*) FROM refused").get
    return counted


def count_undelivered(connection: apsw.Connection, user_id: str, before_id: str) -> int:
    """Return the number of a user's undelivered interactions below an id."""
    counted: int = connection.execute(
        "SELECT count(*) FROM interaction AS i INDEXED BY by_id JOIN undelivered USING (seq)"
        " WHERE i.user_id = ? AND i.id < ?",
        (user_id, before_id),
    ).get
    return counted


def last_undelivered_of_all(connection: apsw.Connection, up_to: int | None) -> int | None:
    """Return the last position, up to a limit, of all undelivered interactions."""
    position: int | None = connection.execute(
        "SELECT max(position) FROM undelivered WHERE position <= coalesce(?, position)", (up_to,)
    ).get
    return position


def last_undelivered(connection: apsw.Connection, up_to: int | None, *, user_id: str) -> int | None:
    """Return the last position, up to a limit, of the user's undelivered interactions."""
    position: int | None = connection.execute(
        "SELECT max(position) FROM interaction AS i INDEXED BY by_id"
        " CROSS JOIN undelivered USING (seq)"
        " WHERE i.user_id = ? AND position <= coalesce(?, position)",
        (user_id, up_to),
    ).get
    return position


def last_undelivered_turn(
    connection: apsw.Connection, up_to: int | None, *, user_id: str
) -> int | None:
    """Return the last position, up to a limit, of the undelivered turns of the user's conversations."""
    position: int | None = connection.execute(
        "SELECT max(position) FROM interaction AS i INDEXED BY by_conversation"
        " CROSS JOIN undelivered USING (seq)"
        " WHERE i.user_id = ? AND i.conversation_id IS NOT NULL AND position <= coalesce(?, position)",
        (user_id, up_to),
    ).get
    return position

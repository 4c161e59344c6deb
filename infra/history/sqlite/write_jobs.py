"""What can be written to an embedded store, as jobs for its one writing thread."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import apsw

from domain.entities.interaction import first_id_after
from infra.history.sqlite.search.index import index_canonically

REMOVED_AT_ONCE = 100
REMOVING_SECONDS = 0.02
"""How long a job goes on removing rows: a chat's commit may wait behind it."""

_NEW = """
INSERT INTO interaction (user_id, id, conversation_id, model, provider, status, answered, body)
SELECT user_id, id, conversation_id, model, provider, status, answered, body FROM (
    SELECT
        body ->> 'userId' AS user_id,
        body ->> 'id' AS id,
        body ->> 'conversationId' AS conversation_id,
        body ->> 'model' AS model,
        body ->> 'provider' AS provider,
        body ->> 'status' AS status,
        body ->> 'answered' IS NOT NULL AS answered,
        body
    FROM ({source})
) AS new
WHERE NOT EXISTS (SELECT 1 FROM erased_interaction AS e WHERE e.user_id = new.user_id AND e.id = new.id)
AND NOT EXISTS (SELECT 1 FROM erased_user AS e WHERE e.user_id = new.user_id AND e.before_id > new.id)
"""
_INSERT = (
    _NEW
    + """
ON CONFLICT (user_id, id) DO UPDATE SET
    conversation_id = excluded.conversation_id,
    model = excluded.model,
    provider = excluded.provider,
    status = excluded.status,
    answered = excluded.answered,
    body = excluded.body
WHERE interaction.status = 'interrupted' AND excluded.status <> 'interrupted'
"""
)
_BODIES = "SELECT value AS body FROM carray(?)"
_INSERT_BATCH = _INSERT.format(source=_BODIES)
INSERT_NEW = _NEW.format(source=_BODIES) + " ON CONFLICT (user_id, id) DO NOTHING"
_DUE = "SELECT body FROM started WHERE due_ms <= ?"
_INSERT_DUE = _INSERT.format(source=_DUE)

_KEEP_MARKERS = """
INSERT OR IGNORE INTO started (id, user_id, due_ms, body)
SELECT value ->> '$.of.id', value ->> '$.of.userId', value ->> 'dueMs', value -> 'of'
FROM json_each(CAST(? AS TEXT))
"""


class SqlJob(Protocol):
    """One thing to write, within a transaction that others share."""

    @property
    def size_bytes(self) -> int: ...

    def run(self, connection: apsw.Connection) -> None:
        """Write it; runs in the writer's thread."""
        ...


@dataclass(frozen=True, slots=True)
class Append:
    """Interactions to keep if absent: JSON documents, at least one."""

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        insert(connection, self.bodies)


def insert(connection: apsw.Connection, bodies: tuple[str, ...]) -> None:
    """Keep JSON documents, at least one: what is there or erased stays so, an outcome replaces `interrupted`.

    One statement does it all, without the interpreter: a thread that had to come back for every row would queue
    behind a busy event loop each time.
    """
    connection.execute(_INSERT_BATCH, (apsw.carray(bodies),))


@dataclass(frozen=True, slots=True)
class AppendCanonically:
    """As `Append`, into a file with an index of words that would not find all of the texts as they are."""

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        insert(connection, self.bodies)
        index_canonically(connection, self.bodies)


@dataclass(frozen=True, slots=True)
class KeepInFlightMarkers:
    """Start markers: JSON objects `{"dueMs", "of": document}`, joined by commas."""

    rows: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.rows)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(_KEEP_MARKERS, (b"[" + self.rows + b"]",))


@dataclass(frozen=True, slots=True)
class EndMarker:
    """Forgets a start marker whose outcome is kept elsewhere."""

    interaction_id: str
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM started WHERE id = ?", (self.interaction_id,))


@dataclass(frozen=True, slots=True)
class Reap:
    """Makes start markers whose time has come into `interrupted` interactions.

    Attributes:
        has_word_index: Whether the file has one, in which they must be found.
    """

    now_milliseconds: int
    has_word_index: bool = False
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        due = [body for (body,) in connection.execute(_DUE, (self.now_milliseconds,))]
        if not due:
            return
        connection.execute(_INSERT_DUE, (self.now_milliseconds,))
        if self.has_word_index:
            index_canonically(connection, due)
        connection.execute("DELETE FROM started WHERE due_ms <= ?", (self.now_milliseconds,))


@dataclass(frozen=True, slots=True)
class EraseOne:
    """Erases one interaction, and for ever."""

    user_id: str
    interaction_id: str
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        key = (self.user_id, self.interaction_id)
        connection.execute("INSERT OR IGNORE INTO erased_interaction VALUES (?, ?)", key)
        connection.execute("DELETE FROM interaction WHERE user_id = ? AND id = ?", key)
        connection.execute("DELETE FROM started WHERE user_id = ? AND id = ?", key)


@dataclass(slots=True)
class EraseUser:
    """Erases some of a user's interactions up to a moment, and all that are appended later.

    Follow it with another until one `is_finished`, so that others are not kept waiting; a process that dies in
    between finishes at its next start.

    Attributes:
        erased: How many this one removed, once it is committed.
    """

    user_id: str
    until_id: str
    erased: int = field(default=0, init=False)
    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        before_id = first_id_after(self.until_id)
        connection.execute(
            "INSERT INTO erased_user VALUES (?, ?, 1) ON CONFLICT (user_id) DO UPDATE SET"
            " before_id = max(before_id, excluded.before_id), unfinished = 1",
            (self.user_id, before_id),
        )
        connection.execute(
            "DELETE FROM started WHERE user_id = ? AND id < ?", (self.user_id, before_id)
        )
        self.erased, self.is_finished = _erase(connection, self.user_id, before_id)


@dataclass(slots=True)
class FinishErasures:
    """Goes on with erasures whose process died; follow it with another until one `is_finished`.

    Attributes:
        is_finished: There was none left, once it is committed.
    """

    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        for user_id, before_id in connection.execute(
            "SELECT user_id, before_id FROM erased_user WHERE unfinished LIMIT 1"
        ):
            _erase(connection, user_id, before_id)
            return
        self.is_finished = True


def _erase(connection: apsw.Connection, user_id: str, before_id: str) -> tuple[int, bool]:
    """Remove a user's interactions below an id; return how many, and whether none are left."""
    removed, is_finished = remove_some(
        connection,
        "SELECT seq FROM interaction INDEXED BY by_id WHERE user_id = :user_id AND id < :id LIMIT :rows",
        {"user_id": user_id, "id": before_id},
    )
    if is_finished:
        connection.execute("UPDATE erased_user SET unfinished = 0 WHERE user_id = ?", (user_id,))
    return removed, is_finished


def remove_some(
    connection: apsw.Connection, seqs: str, values: Mapping[str, str | int]
) -> tuple[int, bool]:
    """Remove interactions for some milliseconds; return how many, and whether none are left.

    Args:
        connection: Within a transaction.
        seqs: Selects the next `:rows` of them.
        values: For `seqs`.
    """
    sql = f"DELETE FROM interaction WHERE seq IN ({seqs})"  # noqa: S608 - a constant of the caller's
    until_seconds = time.monotonic() + REMOVING_SECONDS
    removed = 0
    while True:
        connection.execute(sql, {**values, "rows": REMOVED_AT_ONCE})
        removed += (found := connection.changes())
        if found < REMOVED_AT_ONCE:
            return removed, True
        if time.monotonic() > until_seconds:
            return removed, False


@dataclass(frozen=True, slots=True)
class Probe:
    """Writes a page and takes it back, to see whether the disk lets us."""

    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(f"PRAGMA user_version = {connection.pragma('user_version')}")

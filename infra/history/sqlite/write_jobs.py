"""The write jobs of the embedded store, run by its one writer thread."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import apsw

from domain.entities.interaction import first_id_after
from infra.history.sqlite.search.index import index_canonically

REMOVED_AT_ONCE = 100
REMOVING_SECONDS = 0.02
"""Time limit of one job that removes rows, because a chat's commit may wait for it."""

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
WHERE (interaction.status = 'in_progress' AND excluded.status <> 'in_progress')
OR (interaction.status = 'interrupted' AND excluded.status NOT IN ('in_progress', 'interrupted'))
"""
)
_BODIES = "SELECT value AS body FROM carray(?)"
_INSERT_BATCH = _INSERT.format(source=_BODIES)
_UNLESS_STORED = " ON CONFLICT (user_id, id) DO NOTHING"
INSERT_NEW = _NEW.format(source=_BODIES) + _UNLESS_STORED
_DUE = "SELECT body FROM started WHERE due_ms <= ?"
# A marker replaces nothing: an answer that is stored as in progress may continue in another process.
_INSERT_DUE = _NEW.format(source=_DUE) + _UNLESS_STORED

_KEEP_MARKERS = """
INSERT OR IGNORE INTO started (id, user_id, due_ms, body)
SELECT value ->> '$.of.id', value ->> '$.of.userId', value ->> 'dueMs', value -> 'of'
FROM json_each(CAST(? AS TEXT))
"""


class SqlJob(Protocol):
    """A write within a transaction that is shared with other jobs.

    Attributes:
        size_bytes: About how much memory the job takes.
    """

    @property
    def size_bytes(self) -> int: ...

    def run(self, connection: apsw.Connection) -> None:
        """Execute the write; called in the writer's thread."""
        ...


@dataclass(frozen=True, slots=True)
class Append:
    """Stores interactions if they are absent: JSON documents, at least one."""

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        insert(connection, self.bodies)


def insert(connection: apsw.Connection, bodies: tuple[str, ...]) -> None:
    """Insert JSON documents, at least one; erased ones are skipped, and existing ones unless one `replaces` the stored.

    One statement inserts all rows: a thread that needed the interpreter for every row would wait for a busy event loop
    each time.
    """
    connection.execute(_INSERT_BATCH, (apsw.carray(bodies),))


@dataclass(frozen=True, slots=True)
class AppendCanonically:
    """Does the same as `Append`, and indexes texts by their canonical words where the word index needs it."""

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        insert(connection, self.bodies)
        index_canonically(connection, self.bodies)


@dataclass(frozen=True, slots=True)
class KeepInFlightMarkers:
    """Stores start markers: JSON objects `{"dueMs", "of": document}`, joined by commas."""

    rows: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.rows)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(_KEEP_MARKERS, (b"[" + self.rows + b"]",))


@dataclass(frozen=True, slots=True)
class EndMarker:
    """Removes a start marker whose outcome is stored elsewhere."""

    interaction_id: str
    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM started WHERE id = ?", (self.interaction_id,))


@dataclass(frozen=True, slots=True)
class Reap:
    """Turns start markers that are due into `interrupted` interactions, unless one with this id is stored.

    Attributes:
        now_milliseconds: The current time, since 1970 UTC.
        has_word_index: Whether the file has a word index.
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
    """Erases one interaction and leaves a tombstone."""

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
    """Leaves a tombstone for a user's interactions up to an id, and removes some of them.

    Submit further jobs until one `is_finished`; other jobs run in between. If the process dies before, its next start
    completes the erasure.

    Attributes:
        until_id: The erasure includes the millisecond of this id.
        erased: Number of interactions that this job removed; valid once it is committed.
        is_finished: Whether none are left; valid once the job is committed.
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
    """Continues erasures whose process died; submit further jobs until one `is_finished`.

    Attributes:
        is_finished: Whether no erasure was left; valid once the job is committed.
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
    """Remove some of a user's interactions below an id; return their number, and whether none are left."""
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
    """Remove interactions for at most 20 ms; return their number, and whether none are left.

    Args:
        connection: A connection within a transaction.
        seqs: A query that selects the next `:rows` interactions.
        values: The parameters of `seqs`.
    """
    sql = f"DELETE FROM interaction WHERE seq IN ({seqs})"  # noqa: S608 - a constant of the caller
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
    """Writes a page without changes, to test the disk."""

    size_bytes: int = 0

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(f"PRAGMA user_version = {connection.pragma('user_version')}")

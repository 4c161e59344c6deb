"""The jobs of the writer thread of `answers.db`.

A job whose lease is lost sets a field instead of failing, because it shares its transaction with other jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from domain.entities.background.answer import AnswerKey, AnswerLease
from domain.entities.background.log import LeaseState
from infra.answers.chunks import Chunk, Stored
from infra.answers.logs import lease_state

REMOVED_AT_ONCE = 20
"""Maximum number of logs that one job removes, because appends wait for it."""

# The request is in a table of its own, since SQLite writes the whole row at each append.
SCHEMA = """
CREATE TABLE answer (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    is_given_up INTEGER NOT NULL,
    takeovers INTEGER NOT NULL,
    next_position INTEGER NOT NULL,
    next_number INTEGER NOT NULL,
    is_stopped INTEGER NOT NULL,
    last_written_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    PRIMARY KEY (user_id, id)
) WITHOUT ROWID;
CREATE INDEX answer_by_lease ON answer (lease_until_ms) WHERE ended_at_ms IS NULL;
CREATE INDEX answer_by_end ON answer (ended_at_ms) WHERE ended_at_ms IS NOT NULL;

CREATE TABLE answer_request (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX answer_request_by_id ON answer_request (user_id, id);

CREATE TABLE answer_record (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    first_number INTEGER NOT NULL,
    next_number INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX answer_record_by_position ON answer_record (user_id, id, position);
CREATE INDEX answer_record_by_number ON answer_record (user_id, id, next_number);

CREATE TRIGGER answer_removed AFTER DELETE ON answer BEGIN
    DELETE FROM answer_request WHERE user_id = OLD.user_id AND id = OLD.id;
    DELETE FROM answer_record WHERE user_id = OLD.user_id AND id = OLD.id;
END;
"""


@dataclass(slots=True)
class Begin:
    """Creates a log with its first lease.

    Attributes:
        is_created: Whether there was none; set when the job is committed.
    """

    key: AnswerKey
    body: bytes
    now_milliseconds: int
    lease_until_milliseconds: int
    is_created: bool = field(default=False, init=False)
    needs_file: bool = field(default=True, init=False)

    @property
    def size_bytes(self) -> int:
        return len(self.body)

    def run(self, connection: apsw.Connection) -> None:
        key = (self.key.user_id, self.key.interaction_id)
        connection.execute(
            "INSERT OR IGNORE INTO answer VALUES (?, ?, 1, ?, 0, 0, 0, 0, 0, ?, NULL)",
            (*key, self.lease_until_milliseconds, self.now_milliseconds),
        )
        self.is_created = connection.changes() == 1
        if self.is_created:
            connection.execute("INSERT INTO answer_request VALUES (?, ?, ?)", (*key, self.body))


@dataclass(slots=True)
class Append:
    """Adds a chunk if the log has no newer lease and no end.

    Attributes:
        stored: What is at its position; None if the lease is lost. Set when the job is committed.
    """

    chunk: Chunk
    now_milliseconds: int
    stored: Stored | None = field(default=None, init=False)
    needs_file: bool = field(default=False, init=False)

    @property
    def size_bytes(self) -> int:
        return len(self.chunk.body)

    def run(self, connection: apsw.Connection) -> None:
        chunk = self.chunk
        key = (chunk.key.user_id, chunk.key.interaction_id)
        connection.execute(
            "UPDATE answer SET next_position = next_position + 1, next_number = ?,"
            " last_written_ms = ?, ended_at_ms = ? WHERE user_id = ? AND id = ?"
            " AND epoch = ? AND next_position = ? AND ended_at_ms IS NULL",
            (
                chunk.next_number,
                self.now_milliseconds,
                self.now_milliseconds if chunk.is_last else None,
                *key,
                chunk.epoch,
                chunk.position,
            ),
        )
        if connection.changes() == 1:
            connection.execute(
                "INSERT INTO answer_record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *key,
                    chunk.position,
                    chunk.epoch,
                    chunk.first_number,
                    chunk.next_number,
                    chunk.count,
                    chunk.body,
                ),
            )
            self.stored = Stored(chunk.count, chunk.next_number)
            return
        row = connection.execute(
            "SELECT count, next_number FROM answer_record WHERE user_id = ? AND id = ? AND position = ? AND epoch = ?",
            (*key, chunk.position, chunk.epoch),
        ).fetchone()
        self.stored = None if row is None else Stored(*row)


@dataclass(slots=True)
class Renew:
    """Renews leases that are not lost.

    Attributes:
        states: The states of the leases, in order; set when the job is committed.
    """

    leases: Sequence[AnswerLease]
    lease_until_milliseconds: int
    states: list[LeaseState] = field(default_factory=list, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        for lease in self.leases:
            connection.execute(
                "UPDATE answer SET lease_until_ms = ? WHERE user_id = ? AND id = ?"
                " AND epoch = ? AND is_given_up = 0 AND ended_at_ms IS NULL",
                (
                    self.lease_until_milliseconds,
                    lease.key.user_id,
                    lease.key.interaction_id,
                    lease.epoch,
                ),
            )
        self.states = [state_of(connection, lease) for lease in self.leases]


@dataclass(slots=True)
class GiveUp:
    """Ends a lease that is not lost."""

    lease: AnswerLease
    now_milliseconds: int
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        lease = self.lease
        connection.execute(
            "UPDATE answer SET is_given_up = 1, lease_until_ms = min(lease_until_ms, ?)"
            " WHERE user_id = ? AND id = ? AND epoch = ?",
            (self.now_milliseconds, lease.key.user_id, lease.key.interaction_id, lease.epoch),
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """A new lease, and the state of its log."""

    lease: AnswerLease
    is_stopped: bool
    last_written_milliseconds: int


@dataclass(slots=True)
class TakeOver:
    """Creates a new lease if the previous one expired or was released.

    Attributes:
        taken: The new lease; None if there is nothing to take over. Set when the job is committed.
    """

    key: AnswerKey
    now_milliseconds: int
    lease_until_milliseconds: int
    taken: Taken | None = field(default=None, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        rows: list[Any] = connection.execute(
            "UPDATE answer SET epoch = epoch + 1, takeovers = takeovers + (1 - is_given_up),"
            " is_given_up = 0, lease_until_ms = ? WHERE user_id = ? AND id = ?"
            " AND lease_until_ms <= ? AND ended_at_ms IS NULL"
            " RETURNING epoch, takeovers, next_position, next_number, is_stopped, last_written_ms",
            (
                self.lease_until_milliseconds,
                self.key.user_id,
                self.key.interaction_id,
                self.now_milliseconds,
            ),
        ).fetchall()  # to its end, so that the transaction can be committed
        self.taken = None
        if not rows:
            return
        epoch, takeovers, next_position, next_number, is_stopped, last_written = rows[0]
        lease = AnswerLease(
            key=self.key,
            epoch=epoch,
            takeovers=takeovers,
            next_position=next_position,
            next_number=next_number,
        )
        self.taken = Taken(lease, bool(is_stopped), last_written)


@dataclass(slots=True)
class Stop:
    """Marks a log as stopped.

    Attributes:
        is_done: Whether there is such a log without an end; set when the job is committed.
    """

    key: AnswerKey
    is_done: bool = field(default=False, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "UPDATE answer SET is_stopped = 1 WHERE user_id = ? AND id = ? AND ended_at_ms IS NULL",
            (self.key.user_id, self.key.interaction_id),
        )
        self.is_done = connection.changes() == 1


@dataclass(slots=True)
class Erase:
    """Removes a log."""

    key: AnswerKey
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM answer WHERE user_id = ? AND id = ?",
            (self.key.user_id, self.key.interaction_id),
        )


@dataclass(slots=True)
class EraseSome:
    """Removes up to `REMOVED_AT_ONCE` logs of a user with ids below `before_id`.

    Attributes:
        is_finished: Whether these were the last; set when the job is committed.
    """

    user_id: str
    before_id: str
    is_finished: bool = field(default=True, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM answer WHERE user_id = ?1 AND id IN"
            " (SELECT id FROM answer WHERE user_id = ?1 AND id < ?2 LIMIT ?3)",
            (self.user_id, self.before_id, REMOVED_AT_ONCE),
        )
        self.is_finished = connection.changes() < REMOVED_AT_ONCE


@dataclass(slots=True)
class Purge:
    """Removes up to `REMOVED_AT_ONCE` logs that ended at a time, or before it.

    Attributes:
        is_finished: Whether these were the last; set when the job is committed.
    """

    until_milliseconds: int
    is_finished: bool = field(default=True, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM answer WHERE (user_id, id) IN"
            " (SELECT user_id, id FROM answer WHERE ended_at_ms <= ? LIMIT ?)",
            (self.until_milliseconds, REMOVED_AT_ONCE),
        )
        self.is_finished = connection.changes() < REMOVED_AT_ONCE


def state_of(connection: apsw.Connection, lease: AnswerLease) -> LeaseState:
    """Return the state of a lease."""
    row = connection.execute(
        "SELECT is_stopped FROM answer WHERE user_id = ? AND id = ?"
        " AND epoch = ? AND is_given_up = 0 AND ended_at_ms IS NULL",
        (lease.key.user_id, lease.key.interaction_id, lease.epoch),
    ).fetchone()
    return lease_state(is_held=row is not None, is_stopped=row is not None and bool(row[0]))

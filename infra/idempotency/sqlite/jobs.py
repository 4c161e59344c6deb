"""The jobs of the writer thread of `idempotency.db`."""

from dataclasses import dataclass, field

import apsw

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord

SCHEMA = """
CREATE TABLE claim (
    key TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claim_by_user ON claim (user_id, interaction_id);
CREATE INDEX claim_by_expiry ON claim (expires_ms);
"""


@dataclass(slots=True)
class Make:
    """Inserts a record unless an unexpired one exists.

    Attributes:
        found: The existing record, set when the job is committed.
    """

    key: IdempotencyKey
    claim: IdempotencyRecord
    now_milliseconds: int
    found: IdempotencyRecord | None = field(default=None, init=False)
    needs_file: bool = field(default=True, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        digest = self.key.digest
        row = connection.execute(
            "SELECT fingerprint, interaction_id, lease_until_ms, expires_ms FROM claim"
            " WHERE key = ? AND expires_ms > ?",
            (digest, self.now_milliseconds),
        ).fetchone()
        if row is not None:
            self.found = IdempotencyRecord(
                fingerprint=row[0],
                interaction_id=row[1],
                lease_until_milliseconds=row[2],
                expires_milliseconds=row[3],
            )
            return
        claim = self.claim
        connection.execute(
            "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?, ?, ?)",
            (
                digest,
                self.key.user_id,
                claim.fingerprint,
                claim.interaction_id,
                claim.lease_until_milliseconds,
                claim.expires_milliseconds,
            ),
        )


@dataclass(slots=True)
class Replace:
    """Replaces the record that was seen.

    Attributes:
        is_done: Whether that record was still present; set when the job is committed.
    """

    key: IdempotencyKey
    seen: IdempotencyRecord
    claim: IdempotencyRecord
    is_done: bool = field(default=False, init=False)
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "UPDATE claim SET fingerprint = ?, interaction_id = ?, lease_until_ms = ?, expires_ms = ?"
            " WHERE key = ? AND interaction_id = ? AND lease_until_ms = ?",
            (
                self.claim.fingerprint,
                self.claim.interaction_id,
                self.claim.lease_until_milliseconds,
                self.claim.expires_milliseconds,
                self.key.digest,
                self.seen.interaction_id,
                self.seen.lease_until_milliseconds,
            ),
        )
        self.is_done = connection.changes() == 1


@dataclass(slots=True)
class Release:
    """Deletes a record if it is unchanged."""

    key: IdempotencyKey
    claim: IdempotencyRecord
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM claim WHERE key = ? AND interaction_id = ? AND lease_until_ms = ?",
            (self.key.digest, self.claim.interaction_id, self.claim.lease_until_milliseconds),
        )


@dataclass(slots=True)
class Forget:
    """Deletes the record of one of a user's interactions."""

    user_id: str
    interaction_id: str
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM claim WHERE user_id = ? AND interaction_id = ?",
            (self.user_id, self.interaction_id),
        )


@dataclass(slots=True)
class ForgetUntil:
    """Deletes a user's records of interactions with an id below `before_id`."""

    user_id: str
    before_id: str
    needs_file: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(
            "DELETE FROM claim WHERE user_id = ? AND interaction_id < ?",
            (self.user_id, self.before_id),
        )

"""Tombstones of erased interactions in a SQLite file, and copying them to another file."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import orjson

_ERASED = """
SELECT value FROM json_each(CAST(:ids AS TEXT)) WHERE
    EXISTS (SELECT 1 FROM erased_interaction AS e WHERE e.user_id = :user_id AND e.id = value)
    OR EXISTS (SELECT 1 FROM erased_user AS e WHERE e.user_id = :user_id AND e.before_id > value)
"""

_ALL = """
SELECT json_object(
    'one', json((SELECT json_group_array(json_array(user_id, id)) FROM erased_interaction)),
    'all', json((SELECT json_group_array(json_array(user_id, before_id)) FROM erased_user))
)
"""

_KEEP_ONE = """
INSERT OR IGNORE INTO erased_interaction
SELECT value ->> 0, value ->> 1 FROM json_each(CAST(? AS TEXT) -> 'one')
"""
_KEEP_ALL = """
INSERT INTO erased_user
SELECT value ->> 0, value ->> 1, 0 FROM json_each(CAST(? AS TEXT) -> 'all') WHERE true
ON CONFLICT (user_id) DO UPDATE SET before_id = max(before_id, excluded.before_id)
"""
_REMOVE_ERASED = """
DELETE FROM interaction WHERE seq IN (
    SELECT i.seq FROM json_each(CAST(:tombstones AS TEXT) -> 'one') AS e
    JOIN interaction AS i INDEXED BY by_id ON i.user_id = e.value ->> 0 AND i.id = e.value ->> 1
    UNION ALL
    SELECT i.seq FROM json_each(CAST(:tombstones AS TEXT) -> 'all') AS e
    JOIN interaction AS i INDEXED BY by_id ON i.user_id = e.value ->> 0 AND i.id < e.value ->> 1
)
"""


def erased_among(
    connection: apsw.Connection, user_id: str, interaction_ids: Sequence[str]
) -> frozenset[str]:
    """Return which of the user's interactions were erased."""
    values = {"user_id": user_id, "ids": orjson.dumps(list(interaction_ids))}
    return frozenset([found for (found,) in connection.execute(_ERASED, values)])


def all_tombstones(connection: apsw.Connection) -> bytes:
    """Return all of a file's tombstones as JSON, for `KeepTombstones`."""
    tombstones: str = connection.execute(_ALL).get
    return tombstones.encode()


@dataclass(frozen=True, slots=True)
class KeepTombstones:
    """Stores another file's tombstones, and removes the interactions that they erase.

    Attributes:
        tombstones: JSON: `{"one": [[user id, interaction id]], "all": [[user id, id below which all are erased]]}`.
    """

    tombstones: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.tombstones)

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(_KEEP_ONE, (self.tombstones,))
        connection.execute(_KEEP_ALL, (self.tombstones,))
        connection.execute(_REMOVE_ERASED, {"tombstones": self.tombstones})

"""Inserts many rows at once into the embedded store, for copies of whole stores."""

from dataclasses import dataclass

import apsw

from infra.history.sqlite.search.index import index_canonically, index_rows
from infra.history.sqlite.write_jobs import INSERT_NEW, insert


@dataclass(frozen=True, slots=True)
class AppendMany:
    """Stores thousands of interactions if they are absent, at a little more than half of the cost of `Append`.

    Fastest in the order of users, since each user's index entries are adjacent.
    """

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        if _insert_new(connection, self.bodies) < len(self.bodies):
            insert(connection, self.bodies)  # some exist, and may be replaced
        index_canonically(connection, self.bodies)


def _insert_new(connection: apsw.Connection, bodies: tuple[str, ...]) -> int:
    """Insert interactions that neither exist nor were erased, and return their number.

    The work of the triggers is done here for all rows at once, with triggers disabled for this connection.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        last = connection.execute("SELECT coalesce(max(seq), 0) FROM interaction").get
        connection.execute(INSERT_NEW, (apsw.carray(bodies),))
        inserted: int = connection.changes()
        index_rows(connection, last, last + inserted)
        connection.execute(
            "DELETE FROM started WHERE id IN (SELECT id FROM interaction WHERE seq > ?)", (last,)
        )
        return inserted
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)

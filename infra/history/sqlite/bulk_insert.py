"""Many rows at once into the embedded store's file, for copies of whole stores."""

from dataclasses import dataclass

import apsw

from infra.history.sqlite.search.index import index_canonically, index_rows
from infra.history.sqlite.write_jobs import INSERT_NEW, insert


@dataclass(frozen=True, slots=True)
class AppendMany:
    """Interactions to keep if absent, as `Append`, thousands at once: for a little more than half of what it costs.

    Best given in the order of users: each user's entries in the indexes lie side by side.
    """

    bodies: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        if _insert_new(connection, self.bodies) < len(self.bodies):
            insert(connection, self.bodies)  # some were there: an outcome may replace `interrupted`
        index_canonically(connection, self.bodies)


def _insert_new(connection: apsw.Connection, bodies: tuple[str, ...]) -> int:
    """Keep what is neither there nor erased, and return how many that were.

    What triggers do after each row is done here for all of them, while triggers are off for this connection.
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

"""Indexes the rows of an older file by their canonical words where they need it, in the background."""

from dataclasses import dataclass

import apsw

from infra.history.sqlite.search.index import index_canonically, is_indexed_as_it_is

READ_ROWS = 2000
READ_CHARACTERS = 4 * 1024 * 1024
"""Limits of what one step reads."""

_ROWS = "SELECT seq, body FROM interaction WHERE seq >= ? AND seq <= ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Renew:
    """Indexes some rows again and stores the progress.

    Attributes:
        bodies: The bodies of these rows.
        next_seq: The first row of the next step; None after the last step.
    """

    bodies: tuple[str, ...]
    next_seq: int | None

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def run(self, connection: apsw.Connection) -> None:
        index_canonically(connection, self.bodies)
        if self.next_seq is None:
            connection.execute("DELETE FROM renewal")
        else:
            connection.execute("UPDATE renewal SET next_seq = ?", (self.next_seq,))


def next_step(connection: apsw.Connection) -> Renew | None:
    """Return the step that follows the last one; None when all rows have been read."""
    place = connection.execute("SELECT next_seq, until_seq FROM renewal").fetchone()
    if place is None:
        return None
    next_seq, until_seq = place
    bodies: list[str] = []
    characters = 0
    rows = connection.execute(_ROWS, (next_seq, until_seq))
    for count, (seq, body) in enumerate(rows, start=1):
        if not is_indexed_as_it_is(body):
            bodies.append(body)
        characters += len(body)
        if count >= READ_ROWS or characters >= READ_CHARACTERS:
            return Renew(tuple(bodies), seq + 1)
    return Renew(tuple(bodies), None)


def is_renewed(connection: apsw.Connection) -> bool:
    """Return whether every row is indexed by its canonical words."""
    return connection.execute("SELECT 1 FROM renewal").fetchone() is None

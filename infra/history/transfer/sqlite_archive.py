"""All contents of the embedded store, for copies."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import apsw
import orjson

from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.interfaces.history_archive import ArchiveReader, HistoryArchive
from infra.history.sqlite.bulk_insert import AppendMany
from infra.history.sqlite.read_pool import ReadPool
from infra.history.sqlite.store import SqliteHistory
from infra.history.transfer.replay_erasures import apply_tombstones

READ_AT_ONCE = 1000
READ_BYTES = 8 * 1024 * 1024

_BODIES = """
SELECT user_id, id, CAST(body AS BLOB) FROM interaction INDEXED BY by_id
WHERE (user_id, id) > (?, ?) ORDER BY user_id, id LIMIT ?
"""
_BODIES_OF_USER = """
SELECT user_id, id, CAST(body AS BLOB) FROM interaction INDEXED BY by_id
WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?
"""
# All in one row: for each row the thread would wait for the interpreter lock.
_KEPT = """
SELECT
    group_concat(i.user_id, char(30)), group_concat(i.id, char(30)),
    CAST(group_concat(i.body, char(30)) AS BLOB)
FROM json_each(CAST(? AS TEXT)) AS wanted CROSS JOIN interaction AS i INDEXED BY by_id
ON i.user_id = wanted.value ->> 0 AND i.id = wanted.value ->> 1
"""
_BETWEEN = "\x1e"
"""The separator `char(30)`, which neither names nor JSON contain."""
_ERASED_INTERACTIONS = """
SELECT user_id, id FROM erased_interaction WHERE (user_id, id) > (?, ?) ORDER BY user_id, id LIMIT ?
"""
_ERASED_USERS = """
SELECT user_id, before_id FROM erased_user WHERE (user_id, '') > (?, ?) ORDER BY user_id LIMIT ?
"""


class SqliteArchiveReader(ArchiveReader):
    """Reads in order of users and ids; every page is a separate read, so the service can write and checkpoint meanwhile."""

    def __init__(self, reads: ReadPool, path: Path) -> None:
        self._reads = reads
        self._path = path

    async def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        if user_id is None:
            for sql in (_ERASED_INTERACTIONS, _ERASED_USERS):
                last = InteractionKey("", "")
                while rows := await self._rows(sql, last):
                    yield ArchivePage(erasures=[_erasure(sql, *row) for row in rows])
                    last = InteractionKey(*rows[-1])
        bodies = _BODIES if user_id is None else _BODIES_OF_USER
        last = after or InteractionKey(user_id or "", "")
        while records := await self._records(bodies, last):
            yield ArchivePage(records=records)
            last = records[-1].key

    async def estimated_count(self) -> int:
        def count(connection: apsw.Connection) -> int:
            found: int = connection.execute("SELECT count(*) FROM interaction").get
            return found

        return await self._reads.run(lambda connections: count(connections.to(self._path)))

    async def _records(self, sql: str, after: InteractionKey) -> list[Record]:
        return await self._reads.run(
            lambda connections: _records(connections.to(self._path), sql, after)
        )

    async def _rows(self, sql: str, after: InteractionKey) -> list[tuple[str, str]]:
        return await self._reads.run(
            lambda connections: list(
                connections.to(self._path).execute(sql, (*after, READ_AT_ONCE))
            )
        )


class SqliteArchive(SqliteArchiveReader, HistoryArchive):
    """The file of a `SqliteHistory`; its writer thread commits each batch."""

    batch_size = 20_000

    def __init__(self, history: SqliteHistory) -> None:
        super().__init__(history.reads, history.path)
        self._history = history

    async def write(self, records: Sequence[Record]) -> None:
        by_user = sorted(records, key=lambda record: record.key)
        bodies = [record.body.decode() for record in by_user]
        await self._history.commits.submit(AppendMany(tuple(bodies)))

    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        wanted = orjson.dumps([tuple(key) for key in sorted(keys)])

        def read(connection: apsw.Connection) -> list[Record]:
            users, ids, bodies = connection.execute(_KEPT, (wanted,)).get
            if users is None:
                return []
            keys = map(InteractionKey, users.split(_BETWEEN), ids.split(_BETWEEN))
            return list(map(Record, keys, bodies.split(_BETWEEN.encode())))

        return await self._history.reads.run(
            lambda connections: read(connections.to(self._history.path))
        )

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return await self._history.erased_among(user_id, interaction_ids)

    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        await apply_tombstones(self._history, erasures)


def _records(connection: apsw.Connection, sql: str, after: InteractionKey) -> list[Record]:
    """Return the records after `after`: up to 1 000, or about 8 MiB."""
    records: list[Record] = []
    size_bytes = 0
    for user_id, interaction_id, body in connection.execute(sql, (*after, READ_AT_ONCE)):
        records.append(Record(InteractionKey(user_id, interaction_id), body))
        size_bytes += len(body)
        if size_bytes >= READ_BYTES:
            break
    return records


def _erasure(sql: str, user_id: str, other_id: str) -> Tombstone:
    if sql is _ERASED_USERS:
        return Tombstone(user_id=user_id, before_id=other_id)
    return Tombstone(user_id=user_id, interaction_id=other_id)

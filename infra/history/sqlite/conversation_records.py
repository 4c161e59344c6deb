"""Records of conversations in the embedded store's file."""

# ruff: noqa: S608 - put together from the constants of this file; every value travels as a parameter

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
import orjson

from domain.entities.conversation import ConversationRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.conversation_records import ConversationRecordReader, ConversationRecords
from infra.history.format.conversation_records import json_of_record, record_in
from infra.history.sqlite.read_pool import ReadPool
from infra.history.sqlite.write_jobs import SqlJob
from infra.storage.sqlite.group_commit import GroupCommit

READ_AT_ONCE = 50

_PUT = """
INSERT INTO conversation (user_id, id, created_id, changed_id, title, body)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (
    SELECT 1 FROM erased_user AS e WHERE e.user_id = ?1 AND e.before_id > ?3
)
ON CONFLICT (user_id, id) DO UPDATE SET
    created_id = excluded.created_id,
    changed_id = excluded.changed_id,
    title = excluded.title,
    body = excluded.body
"""
# An erasure of the user that did not end leaves records behind.
_IS_LIVING = """NOT EXISTS (
    SELECT 1 FROM erased_user AS e WHERE e.user_id = c.user_id AND e.before_id > c.created_id
)"""
_GET = f"SELECT body FROM conversation AS c WHERE user_id = ? AND id = ? AND {_IS_LIVING}"
_TITLES = f"""
SELECT c.id, c.title FROM json_each(CAST(?2 AS TEXT)) AS wanted CROSS JOIN conversation AS c
ON c.user_id = ?1 AND c.id = wanted.value WHERE c.title <> '' AND {_IS_LIVING}
"""
_SOME = f"""
SELECT body FROM conversation AS c WHERE (user_id, id) > (?, ?) AND {_IS_LIVING}
ORDER BY user_id, id LIMIT ?
"""
_SOME_OF_USER = f"""
SELECT body FROM conversation AS c WHERE user_id = ? AND id > ? AND {_IS_LIVING}
ORDER BY user_id, id LIMIT ?
"""
_HAS_TABLE = "SELECT count(*) FROM sqlite_schema WHERE name = 'conversation'"


class SqliteConversationRecordReader(ConversationRecordReader):
    """Reads records, also from a file that an earlier version of the program wrote and that has none."""

    def __init__(self, reads: ReadPool, path: Path) -> None:
        self._reads = reads
        self._path = path

    async def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        sql, last = (_SOME, ("", "")) if user_id is None else (_SOME_OF_USER, (user_id, ""))
        while page := await self._page(sql, last):
            for record in page:
                yield record
            last = (page[-1].user_id, page[-1].conversation_id)

    async def _page(self, sql: str, after: tuple[str, str]) -> list[ConversationRecord]:
        def read(connection: apsw.Connection) -> list[ConversationRecord]:
            if not connection.execute(_HAS_TABLE).get:
                return []
            rows = list(connection.execute(sql, (*after, READ_AT_ONCE)))
            return [record_in(body) for (body,) in rows]

        return await self._reads.run(lambda connections: read(connections.to(self._path)))


class SqliteConversationRecords(SqliteConversationRecordReader, ConversationRecords):
    """The table `conversation` of the file; its writer thread commits the changes."""

    def __init__(self, commits: GroupCommit[SqlJob], reads: ReadPool, path: Path) -> None:
        super().__init__(reads, path)
        self._commits = commits

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        def read(connection: apsw.Connection) -> ConversationRecord | None:
            body = connection.execute(_GET, (user_id, conversation_id)).get
            return None if body is None else record_in(body)

        return await self._reads.run(lambda connections: read(connections.to(self._path)))

    async def put(self, record: ConversationRecord) -> None:
        values = (
            record.user_id,
            record.conversation_id,
            record.created_id,
            record.changed_id,
            record.title,
            json_of_record(record).decode(),
        )
        await self._commits.submit(_Statement(_PUT, values))

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        values = (user_id, orjson.dumps(list(conversation_ids)))
        return await self._reads.run(
            lambda connections: dict(list(connections.to(self._path).execute(_TITLES, values)))
        )

    async def erase(self, user_id: str, conversation_id: str) -> None:
        await self._erase(
            "DELETE FROM conversation WHERE user_id = ? AND id = ?", (user_id, conversation_id)
        )

    async def erase_all(self, user_id: str, until_id: str) -> None:
        await self._erase(
            "DELETE FROM conversation WHERE user_id = ? AND created_id < ?",
            (user_id, first_id_after(until_id)),
        )

    async def expire(self, first_kept_id: str) -> None:
        """Remove the records whose last change is below an id; raises `HistoryUnavailable`."""
        if first_kept_id:
            sql = "DELETE FROM conversation WHERE changed_id < ?"
            await self._commits.submit(_Statement(sql, (first_kept_id,)))

    async def _erase(self, sql: str, values: tuple[str, ...]) -> None:
        try:
            await self._commits.submit(_Statement(sql, values))
        except HistoryUnavailable as exc:
            raise HistoryUnreadable("the embedded store cannot be written") from exc


@dataclass(frozen=True, slots=True)
class _Statement:
    """A write of one statement."""

    sql: str
    values: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.values))

    def run(self, connection: apsw.Connection) -> None:
        connection.execute(self.sql, self.values)

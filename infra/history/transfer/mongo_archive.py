"""All contents of a MongoDB store, for copies."""

from collections.abc import AsyncGenerator, Sequence

import orjson
from pymongo import ASCENDING

from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.exceptions import HistoryDamaged
from domain.interfaces.history_archive import HistoryArchive
from infra.history.format.documents import (
    Document,
    UnreadableDocument,
    body_of,
    interaction_in,
    record_holding,
)
from infra.history.mongo.queries import document_in, stored
from infra.history.mongo.store import MongoHistory
from infra.history.transfer.replay_erasures import apply_tombstones

READ_AT_ONCE = 1000
READ_BYTES = 8 * 1024 * 1024


class MongoArchive(HistoryArchive):
    """Reads in order of ids, and so of time; every page is a separate query, so that no cursor times out."""

    batch_size = 1000

    def __init__(self, history: MongoHistory) -> None:
        self._history = history

    async def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        if user_id is None:
            last_key = ""
            while erasures := await self._history.read(
                self._history.erasures.after(last_key, READ_AT_ONCE)
            ):
                yield ArchivePage(erasures=[erasure for _, erasure in erasures])
                last_key = erasures[-1][0]
        last_id = "" if after is None else after.interaction_id
        while records := await self._history.read(self._records(last_id, user_id)):
            yield ArchivePage(records=records)
            last_id = records[-1].key.interaction_id

    async def estimated_count(self) -> int:
        return await self._history.read(self._history.interactions.estimated_document_count())

    async def write(self, records: Sequence[Record]) -> None:
        await self._history.insert(
            [stored(interaction_in(record), orjson.loads(record.body)) for record in records]
        )

    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        wanted = {"_id": {"$in": [key.interaction_id for key in keys]}}
        found = await self._history.read(self._history.interactions.find(wanted).to_list())
        asked = set(keys)
        return [record for record in map(_record_of, found) if record.key in asked]

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return await self._history.erased_among(user_id, interaction_ids)

    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        await apply_tombstones(self._history, erasures)

    async def _records(self, last_id: str, user_id: str | None) -> list[Record]:
        """Return the records after `last_id`: up to 1 000, or about 8 MiB."""
        wanted: Document = {"_id": {"$gt": last_id}}
        if user_id is not None:
            wanted["userId"] = user_id
        records: list[Record] = []
        size_bytes = 0
        asking = self._history.interactions.find(wanted).sort("_id", ASCENDING).limit(READ_AT_ONCE)
        async with asking as found:
            async for document in found:
                records.append(record := _record_of(document))
                size_bytes += len(record.body)
                if size_bytes >= READ_BYTES:
                    break
        return records


def _record_of(kept: Document) -> Record:
    try:
        return record_holding(body_of(document_in(kept)))
    except (UnreadableDocument, TypeError) as exc:
        raise HistoryDamaged(f"the document {kept.get('_id')} cannot be read") from exc

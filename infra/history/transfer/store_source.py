"""A store as the source of a copy."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from hashlib import sha256

from domain.entities.copy_progress import Batch, Position
from domain.entities.stored_record import Record, Tombstone
from domain.exceptions import HistoryDamaged
from domain.interfaces.history_archive import ArchiveReader
from domain.use_cases.copy_history import CopySource
from infra.history.format.documents import UnreadableDocument, interaction_in

MAX_BATCH_BYTES = 32 * 1024 * 1024


class StoreSource(CopySource):
    """Yields the stored records unchanged, including fields that this program does not know."""

    def __init__(self, store: ArchiveReader) -> None:
        self._store = store

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield the batches after `after`.

        Raises:
            HistoryDamaged: The store contains a record that this program cannot read.
            HistoryUnreadable: The store cannot be read.
        """
        whole = await self._store.estimated_count()
        gathered: list[Record] = []
        async with aclosing(self._store.pages(after.last_key)) as pages:
            async for page in pages:
                if page.erasures:
                    yield _batch(after, (), whole, page.erasures)
                gathered += page.records
                while len(gathered) >= at_most or _bytes_of(gathered) >= MAX_BATCH_BYTES:
                    yield (batch := _batch(after, gathered[:at_most], whole))
                    after, gathered = batch.position, gathered[at_most:]
        if gathered:
            yield _batch(after, gathered, whole)


def _batch(
    after: Position, records: Sequence[Record], whole: int, erasures: Sequence[Tombstone] = ()
) -> Batch:
    done = after.line + len(records)
    last_key = records[-1].key if records else after.last_key
    return Batch(
        records=records,
        digests=[_checked(record) for record in records],
        erasures=erasures,
        position=Position(last_key=last_key, line=done),
        done=done,
        total=max(whole, done),
    )


def _bytes_of(records: Sequence[Record]) -> int:
    return sum([len(record.body) for record in records])


def digest_of(record: Record) -> bytes:
    """Return the SHA-256 of the stored body."""
    return sha256(record.body).digest()


def _checked(record: Record) -> bytes:
    try:
        interaction_in(record)
    except UnreadableDocument as exc:
        raise HistoryDamaged(f"{record.key.interaction_id}: {exc}") from exc
    return digest_of(record)

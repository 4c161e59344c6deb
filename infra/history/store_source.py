"""A whole store, as the source of a copy."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256

from domain.entities.copy_progress import Batch, Position
from domain.entities.record import Record
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history_archive import ArchiveReader
from domain.use_cases.copy_history import CopySource
from infra.history.documents import UnreadableDocument, interaction_in


class StoreSource(CopySource):
    """Hands over what a store keeps, as it keeps it: also the fields that this program does not know."""

    def __init__(self, store: ArchiveReader) -> None:
        self._store = store

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield what is behind `after`.

        Raises:
            HistoryUnreadable: The store cannot be read, or holds what this program cannot read.
        """
        whole = await self._store.about_how_many()
        done, place = after.line, after.place
        async with aclosing(self._store.pages(place)) as pages:
            async for page in pages:
                for start in range(0, max(len(page.records), 1), at_most):
                    records = page.records[start : start + at_most]
                    done += len(records)
                    place = records[-1].place if records else place
                    yield Batch(
                        records=records,
                        digests=[_checked(record) for record in records],
                        erasures=() if start else page.erasures,
                        position=Position(place=place, line=done),
                        done=done,
                        whole=max(whole, done),
                    )


def digest_of(record: Record) -> bytes:
    """Return the SHA-256 of what the store keeps."""
    return sha256(record.body).digest()


def _checked(record: Record) -> bytes:
    try:
        interaction_in(record)
    except UnreadableDocument as exc:
        raise HistoryUnreadable(f"{record.place.interaction_id}: {exc}") from exc
    return digest_of(record)

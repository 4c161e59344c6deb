"""Copy interactions into a store and verify them by reading them back."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from domain.entities.conversation import ConversationRecord
from domain.entities.copy_progress import MAX_SHOWN_KEYS, Batch, CopyProgress, Position
from domain.entities.stored_record import InteractionKey, Record, Tombstone
from domain.exceptions import HistoryDamaged, HistoryError, HistoryUnreadable, Unstorable
from domain.interfaces.clock import Clock
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.copy_state import CopyState
from domain.interfaces.history_archive import HistoryArchive

T = TypeVar("T")

PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses between retries of a store that does not respond; after the last one the copy fails."""


async def as_stored(record: Record) -> Record:
    """Return the record unchanged."""
    return record


class CopySource(Protocol):
    """Source of a copy: a file or another store."""

    def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield everything behind `after`, in batches of at most `at_most` records.

        Raises:
            HistoryDamaged: The source holds data that this program cannot read.
            HistoryUnreadable: The source cannot be read at the moment.
        """
        ...


class CopyContents(Protocol):
    """Copies the contents that copied records refer to."""

    async def store(self, batch: Batch, keys: Sequence[InteractionKey]) -> int:
        """Store the contents of some records of a batch, durable on return; return how many neither store holds.

        A content that the target has already only gets further references.

        Raises:
            HistoryUnavailable: Not all are stored; a retry is safe.
            HistoryUnreadable: A content cannot be read; a retry is safe.
        """
        ...

    async def settle(self, batch: Batch, stored: Mapping[InteractionKey, Record]) -> None:
        """Remove the references of records that the target has not stored, and confirm the others if necessary.

        Args:
            batch: Its contents were stored, and its records written.
            stored: The records of the batch as the target holds them.

        Raises:
            HistoryUnavailable: Not all is done; a retry is safe.
            HistoryUnreadable: Not all is done; a retry is safe.
        """
        ...

    async def release(self, erasures: Sequence[Tombstone], erased: Sequence[Record]) -> None:
        """Remove the references of interactions that were erased in the target.

        Args:
            erasures: The tombstones that were applied.
            erased: Records of the single interactions among these, as they were before.

        Raises:
            HistoryUnreadable: Not all are removed; a retry is safe.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Stored:
    """A batch that was stored, without expired records, and the number of its contents that are missing."""

    batch: Batch
    missing: int


@dataclass(frozen=True, slots=True)
class CopyHistory:
    """Copies batches from a source to a store, as a pipeline of reading, two concurrent writes, and reading back.

    It may be killed at any time and started again: existing records are not changed, and with a checkpoint it resumes
    behind the last batch that was verified in the target.

    Attributes:
        digest_of: Returns the SHA-256 of a record of the target, computed as the source computes its digests.
        contents: Copies the contents that records refer to; None if the target cannot store any.
        records: The records of conversations of the target; None copies none.
        completed: Returns a record of the target with everything that its digest covers.
        first_kept_id: Returns the id below which records have expired and are left out; empty if none expire.
    """

    source: CopySource
    target: HistoryArchive
    state: CopyState
    digest_of: Callable[[Record], bytes]
    clock: Clock
    first_kept_id: Callable[[], str] = lambda: ""
    contents: CopyContents | None = None
    completed: Callable[[Record], Awaitable[Record]] = as_stored
    records: ConversationRecords | None = None

    async def __call__(self, progress: Callable[[int, int], None]) -> CopyProgress:
        """Copy everything once.

        Args:
            progress: Called with the amount of the source read so far, and its size.

        Returns:
            The result. If it is not complete, the next run starts at the beginning.

        Raises:
            HistoryError: A store does not answer; copied records stay copied.
        """
        before = settling = asyncio.create_task(self._resumed())
        begun: list[asyncio.Task[_Stored]] = []
        try:
            position = (await settling).position
            async with aclosing(self._read(position)) as batches:
                async for batch in batches:
                    # Bounds the pipeline: two batches may be in writing ahead of the one that is read back.
                    await before
                    begun = [*begun[-1:], asyncio.create_task(self._store(batch, begun[-1:]))]
                    before, settling = settling, self._settling(batch, begun[-1], settling)
                    await asyncio.sleep(0)  # start the write before the next batch is read
                    progress(batch.done, batch.total)
            so_far = await settling
        finally:
            # Batches in progress are finished and saved in the checkpoint.
            await asyncio.gather(settling, *begun, return_exceptions=True)
        self.state.clear()
        return so_far

    async def _read(self, position: Position) -> AsyncGenerator[Batch, None]:
        """Yield everything behind `position`; retry from the last position while the source does not answer."""
        pauses = iter(PAUSES_SECONDS)
        while True:
            try:
                async with aclosing(
                    self.source.batches(position, self.target.batch_size)
                ) as batches:
                    async for batch in batches:
                        position = batch.position
                        pauses = iter(PAUSES_SECONDS)
                        yield batch
                return
            except HistoryDamaged:
                raise
            except HistoryUnreadable:
                pause_seconds = next(pauses, None)
                if pause_seconds is None:
                    raise
                await self.clock.sleep(pause_seconds)

    async def _resumed(self) -> CopyProgress:
        """Return the progress of an earlier run, unless its last record is no longer in the target."""
        saved = self.state.load()
        if saved is None:
            return CopyProgress()
        last = saved.position.last_key
        if last is None or last.interaction_id < self.first_kept_id():
            return saved
        if not await self._found([last]) and not await self._erased([last]):
            return CopyProgress()
        return saved

    async def _store(self, batch: Batch, earlier: Sequence["asyncio.Task[_Stored]"]) -> "_Stored":
        """Store a batch without its expired records. Retries wait for the batches before it."""
        kept = batch.without_expired(self.first_kept_id())

        async def store() -> _Stored:
            if batch.erasures:
                await self._apply_tombstones(batch.erasures)
            missing = await self._store_contents(kept)
            if kept.records:
                await self.target.write(kept.records)
            await self._store_conversations(batch.conversations)
            return _Stored(kept, missing)

        try:
            return await store()
        except Unstorable:
            raise
        except HistoryError:
            await asyncio.gather(*earlier)
            return await self._with_retries(store)

    async def _store_contents(self, batch: Batch) -> int:
        """Store the contents of a batch, except those of erased records; return how many are missing."""
        if self.contents is None or not batch.content_ids:
            return 0
        keys = [record.key for record in batch.records if record.key in batch.content_ids]
        erased = await self._erased_now(keys)
        return await self.contents.store(batch, [key for key in keys if key not in erased])

    async def _store_conversations(self, conversations: Sequence[ConversationRecord]) -> None:
        """Store the records that the target lacks and that have not expired."""
        if self.records is None:
            return
        first_kept_id = self.first_kept_id()
        for record in conversations:
            if record.changed_id < first_kept_id:
                continue
            if await self.records.get(record.user_id, record.conversation_id) is None:
                await self.records.put(record)

    async def _apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        if self.records is not None:
            for erasure in erasures:
                if erasure.until_id is not None:
                    await self.records.erase_all(erasure.user_id, erasure.until_id)
        if self.contents is None:
            await self.target.apply_tombstones(erasures)
            return
        keys = [
            InteractionKey(erasure.user_id, erasure.interaction_id)
            for erasure in erasures
            if erasure.interaction_id is not None
        ]
        erased = await self.target.read(keys) if keys else ()
        await self.target.apply_tombstones(erasures)
        await self.contents.release(erasures, erased)

    def _settling(
        self,
        batch: Batch,
        storing: "asyncio.Task[_Stored]",
        settling: "asyncio.Task[CopyProgress]",
    ) -> "asyncio.Task[CopyProgress]":
        """Return a task that ends when this batch and all before it are stored, read back and saved."""

        async def settle() -> CopyProgress:
            stored, before = await asyncio.gather(storing, settling)
            return await self._settle(batch, stored, before)

        return asyncio.create_task(settle())

    async def _settle(self, batch: Batch, stored: "_Stored", before: CopyProgress) -> CopyProgress:
        kept = stored.batch
        seen = await self._read_back(kept, before)
        after = replace(
            seen,
            expired=seen.expired + len(batch.records) - len(kept.records),
            position=batch.position,
            invalid=before.invalid + batch.invalid,
            missing=before.missing + stored.missing,
            erasures=before.erasures + len(batch.erasures),
        )
        self.state.save(after)
        return after

    async def _read_back(self, batch: Batch, before: CopyProgress) -> CopyProgress:
        """Return `before` with the counts and checksums of the batch, as read back from the target."""
        keys = [record.key for record in batch.records]
        found = {record.key: record for record in await self._found(keys)}
        if self.contents is not None and batch.content_ids:
            settle = self.contents.settle
            await self._with_retries(lambda: settle(batch, found))
        first_kept_id = self.first_kept_id()
        expired = {key for key in keys if key.interaction_id < first_kept_id and key not in found}
        missing = [key for key in keys if key not in found and key not in expired]
        erased = await self._erased(missing) if missing else frozenset[InteractionKey]()
        expected: list[bytes] = []
        found_digests: list[bytes] = []
        differing: list[InteractionKey] = []
        for record, digest in zip(batch.records, batch.digests, strict=True):
            if record.key in erased or record.key in expired:
                continue
            expected.append(digest)
            stored = found.get(record.key)
            if stored is None:
                differing.append(record.key)
            elif stored.body == record.body:
                found_digests.append(digest)
            else:
                complete = await self._with_retries(partial(self.completed, stored))
                found_digests.append(stored_digest := self.digest_of(complete))
                if stored_digest != digest:
                    differing.append(record.key)
        return replace(
            before,
            source=before.source.plus(expected),
            target=before.target.plus(found_digests),
            erased=before.erased + len(batch.records) - len(expired) - len(expected),
            expired=before.expired + len(expired),
            differing=before.differing + len(differing),
            differing_keys=(*before.differing_keys, *differing)[:MAX_SHOWN_KEYS],
        )

    async def _found(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        return await self._with_retries(lambda: self.target.read(keys)) if keys else ()

    async def _erased(self, keys: Sequence[InteractionKey]) -> frozenset[InteractionKey]:
        return await self._with_retries(partial(self._erased_now, keys))

    async def _erased_now(self, keys: Sequence[InteractionKey]) -> frozenset[InteractionKey]:
        by_user: dict[str, list[str]] = {}
        for key in keys:
            by_user.setdefault(key.user_id, []).append(key.interaction_id)
        erased: set[InteractionKey] = set()
        for user_id, ids in by_user.items():
            ids_erased = await self.target.erased_among(user_id, ids)
            erased.update(InteractionKey(user_id, interaction_id) for interaction_id in ids_erased)
        return frozenset(erased)

    async def _with_retries(self, work: Callable[[], Awaitable[T]]) -> T:
        for pause_seconds in PAUSES_SECONDS:
            try:
                return await work()
            except (Unstorable, HistoryDamaged):
                raise
            except HistoryError:
                await self.clock.sleep(pause_seconds)
        return await work()

"""Copy interactions into a store, and see that they are there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from domain.entities.copy_progress import MAX_SHOWN_KEYS, Batch, CopyProgress, Position
from domain.entities.stored_record import InteractionKey, Record
from domain.exceptions import HistoryDamaged, HistoryError, HistoryUnreadable, Unstorable
from domain.interfaces.clock import Clock
from domain.interfaces.copy_state import CopyState
from domain.interfaces.history_archive import HistoryArchive

T = TypeVar("T")

PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""How long a store that does not answer is waited for, before a copy is given up until it is started again."""


class CopySource(Protocol):
    """What is copied: a file, or another store."""

    def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield everything behind `after`, in batches of at most so many records.

        Raises:
            HistoryDamaged: It holds what this program cannot read.
            HistoryUnreadable: It cannot be read now.
        """
        ...


@dataclass(frozen=True, slots=True)
class CopyHistory:
    """Carries batches from a source to a store: one is read, the two before stored, the one before those read back.

    It may be stopped anywhere, however hard, and started again: what is there already stays as it is, and where the
    state is kept it goes on behind the last batch that was seen in the target.

    Attributes:
        digest_of: SHA-256 of a record found in the target, as the source digests its own.
        first_kept_id: Returns the id below which all has expired: such records are left out; empty when none ever do.
    """

    source: CopySource
    target: HistoryArchive
    state: CopyState
    digest_of: Callable[[Record], bytes]
    clock: Clock
    first_kept_id: Callable[[], str] = lambda: ""

    async def __call__(self, progress: Callable[[int, int], None]) -> CopyProgress:
        """Copy everything once.

        Args:
            progress: Told how much of the source is behind, and how much there is.

        Returns:
            What it came to. Where that is not right, the next run starts at the beginning.

        Raises:
            HistoryError: A store does not answer; what was copied stays copied.
        """
        before = settling = asyncio.create_task(self._resumed())
        begun: list[asyncio.Task[Batch]] = []
        try:
            position = (await settling).position
            async with aclosing(self._read(position)) as batches:
                async for batch in batches:
                    # One waits for the store while it writes another, and none gets further ahead of what is read back.
                    await before
                    begun = [*begun[-1:], asyncio.create_task(self._store(batch, begun[-1:]))]
                    before, settling = settling, self._settling(batch, begun[-1], settling)
                    await asyncio.sleep(0)  # let it begin: the store writes while we read on
                    progress(batch.done, batch.total)
            so_far = await settling
        finally:
            # What was begun is finished and noted.
            await asyncio.gather(settling, *begun, return_exceptions=True)
        self.state.clear()
        return so_far

    async def _read(self, position: Position) -> AsyncGenerator[Batch, None]:
        """Yield everything behind `position`; a source that does not answer is begun again where it stopped."""
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
        """Return where an earlier run ended, unless the target has lost since then what that run saw there."""
        noted = self.state.load()
        if noted is None:
            return CopyProgress()
        last = noted.position.last_key
        if last is None or last.interaction_id < self.first_kept_id():
            return noted
        if not await self._found([last]) and not await self._erased([last]):
            return CopyProgress()
        return noted

    async def _store(self, batch: Batch, earlier: Sequence["asyncio.Task[Batch]"]) -> Batch:
        """Store a batch, and return what of it has not expired. In trouble those before it go first."""
        kept = batch.without_expired(self.first_kept_id())

        async def store() -> None:
            if batch.erasures:
                await self.target.apply_tombstones(batch.erasures)
            if kept.records:
                await self.target.write(kept.records)

        try:
            await store()
        except Unstorable:
            raise
        except HistoryError:
            await asyncio.gather(*earlier)
            await self._patiently(store)
        return kept

    def _settling(
        self,
        batch: Batch,
        storing: "asyncio.Task[Batch]",
        settling: "asyncio.Task[CopyProgress]",
    ) -> "asyncio.Task[CopyProgress]":
        """Return what is done once a batch is stored, read back and noted, and those before it too."""

        async def settle() -> CopyProgress:
            kept, before = await asyncio.gather(storing, settling)
            return await self._settle(batch, kept, before)

        return asyncio.create_task(settle())

    async def _settle(self, batch: Batch, kept: Batch, before: CopyProgress) -> CopyProgress:
        seen = await self._read_back(kept, before)
        after = replace(
            seen,
            expired=seen.expired + len(batch.records) - len(kept.records),
            position=batch.position,
            invalid=before.invalid + batch.invalid,
            erasures=before.erasures + len(batch.erasures),
        )
        self.state.save(after)
        return after

    async def _read_back(self, batch: Batch, before: CopyProgress) -> CopyProgress:
        """Return what `before` becomes by what of the batch now is in the target."""
        keys = [record.key for record in batch.records]
        found = {record.key: record for record in await self._found(keys)}
        first_kept_id = self.first_kept_id()
        expired = {key for key in keys if key.interaction_id < first_kept_id and key not in found}
        missing = [key for key in keys if key not in found and key not in expired]
        erased = await self._erased(missing) if missing else frozenset[InteractionKey]()
        expected: list[bytes] = []
        there: list[bytes] = []
        differing: list[InteractionKey] = []
        for record, digest in zip(batch.records, batch.digests, strict=True):
            if record.key in erased or record.key in expired:
                continue
            expected.append(digest)
            kept = found.get(record.key)
            if kept is None:
                differing.append(record.key)
            elif kept.body == record.body:
                there.append(digest)
            else:
                there.append(kept_digest := self.digest_of(kept))
                if kept_digest != digest:
                    differing.append(record.key)
        return replace(
            before,
            source=before.source.plus(expected),
            target=before.target.plus(there),
            erased=before.erased + len(batch.records) - len(expired) - len(expected),
            expired=before.expired + len(expired),
            differing=before.differing + len(differing),
            differing_keys=(*before.differing_keys, *differing)[:MAX_SHOWN_KEYS],
        )

    async def _found(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        return await self._patiently(lambda: self.target.read(keys)) if keys else ()

    async def _erased(self, keys: Sequence[InteractionKey]) -> frozenset[InteractionKey]:
        by_user: dict[str, list[str]] = {}
        for key in keys:
            by_user.setdefault(key.user_id, []).append(key.interaction_id)
        erased: set[InteractionKey] = set()
        for user_id, ids in by_user.items():
            gone = await self._patiently(partial(self.target.erased_among, user_id, ids))
            erased.update(InteractionKey(user_id, one) for one in gone)
        return frozenset(erased)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        for pause_seconds in PAUSES_SECONDS:
            try:
                return await work()
            except (Unstorable, HistoryDamaged):
                raise
            except HistoryError:
                await self.clock.sleep(pause_seconds)
        return await work()

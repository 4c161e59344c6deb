"""Copying goes on through hiccups, and tells when it cannot."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from domain.entities.copy_progress import Batch, CopyProgress, Position
from domain.entities.stored_record import ArchivePage, InteractionKey, Record, Tombstone
from domain.exceptions import (
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
    Unstorable,
)
from domain.interfaces.copy_state import CopyState
from domain.interfaces.history_archive import HistoryArchive
from domain.use_cases.copy_history import PAUSES_SECONDS, CopyHistory, CopySource
from infra.history.format.documents import record_of
from infra.history.transfer.store_source import digest_of
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_id, an_interaction


class MemoryArchive(HistoryArchive):
    """Keeps records in memory, but for the first so many times it is asked to."""

    batch_size = 2

    def __init__(self, *, failures: int = 0, error: HistoryError | None = None) -> None:
        self.there: dict[InteractionKey, Record] = {}
        self.failures = failures
        self.error = error or HistoryUnavailable("away")
        self.asked = 0

    async def pages(
        self, after: InteractionKey | None = None, *, user_id: str | None = None
    ) -> AsyncGenerator[ArchivePage, None]:
        yield ArchivePage(records=list(self.there.values()))

    async def estimated_count(self) -> int:
        return len(self.there)

    async def write(self, records: Sequence[Record]) -> None:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise self.error
        for record in records:
            self.there.setdefault(record.key, record)

    async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
        return [self.there[key] for key in keys if key in self.there]

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    async def apply_tombstones(self, erasures: Sequence[Tombstone]) -> None:
        assert not erasures


class Numbered(CopySource):
    """So many interactions; breaks after some of them, if told to."""

    def __init__(self, count: int, *, breaks_after: int | None = None) -> None:
        self.count = count
        self.breaks_after = breaks_after

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        for first in range(after.line, self.count, at_most):
            if self.breaks_after is not None and first >= self.breaks_after:
                raise HistoryUnavailable("the source is away")
            numbers = range(first, min(first + at_most, self.count))
            records = [record_of(an_interaction(number)) for number in numbers]
            yield Batch(
                records=records,
                digests=[digest_of(record) for record in records],
                position=Position(last_key=records[-1].key, line=numbers.stop),
                done=numbers.stop,
                total=self.count,
            )


class Noted(CopyState):
    """Notes in memory."""

    def __init__(self) -> None:
        self.progress: CopyProgress | None = None
        self.cleared = 0

    def load(self) -> CopyProgress | None:
        return self.progress

    def save(self, progress: CopyProgress) -> None:
        self.progress = progress

    def clear(self) -> None:
        self.progress = None
        self.cleared += 1


def copying(
    source: CopySource, target: HistoryArchive, state: CopyState, clock: FakeClock
) -> CopyHistory:
    return CopyHistory(source, target, state, digest_of, clock)


async def test_everything_is_copied_and_told_of() -> None:
    told: list[tuple[int, int]] = []
    target, state = MemoryArchive(), Noted()
    copied = await copying(Numbered(5), target, state, FakeClock())(
        lambda done, whole: told.append((done, whole))
    )
    assert (copied.is_complete, copied.source.count, len(target.there)) == (True, 5, 5)
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert (state.progress, state.cleared) == (None, 1)


async def test_what_has_expired_is_left_out_and_counted() -> None:
    target, state = MemoryArchive(), Noted()
    copy = replace(copying(Numbered(7), target, state, FakeClock()), first_kept_id=lambda: an_id(3))
    copied = await copy(lambda *_: None)
    assert (copied.is_complete, copied.source.count, copied.expired) == (True, 4, 3)
    assert {place.interaction_id for place in target.there} == {an_id(n) for n in range(3, 7)}


async def test_what_expires_between_writing_and_reading_back_is_not_missing() -> None:
    class Expiring(MemoryArchive):
        async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
            nonlocal first_kept_id
            first_kept_id = an_id(3)
            return [one for one in await super().read(keys) if one.key.interaction_id >= an_id(3)]

    first_kept_id = ""
    copy = replace(
        copying(Numbered(5), Expiring(), Noted(), FakeClock()), first_kept_id=lambda: first_kept_id
    )
    copied = await copy(lambda *_: None)
    assert (copied.is_complete, copied.source.count, copied.expired) == (True, 2, 3)


async def test_a_copy_whose_last_record_expired_goes_on_behind_it() -> None:
    target, state = MemoryArchive(), Noted()
    with pytest.raises(HistoryUnavailable):
        await copying(Numbered(6, breaks_after=4), target, state, FakeClock())(lambda *_: None)
    target.there.clear()
    copy = replace(copying(Numbered(6), target, state, FakeClock()), first_kept_id=lambda: an_id(4))
    copied = await copy(lambda *_: None)
    assert (copied.source.count, len(target.there)) == (6, 2)


async def test_a_store_that_comes_back_is_waited_for() -> None:
    target, clock = MemoryArchive(failures=5), FakeClock()
    copied = await copying(Numbered(5), target, Noted(), clock)(lambda *_: None)
    assert copied.is_complete
    assert clock.slept == list(PAUSES_SECONDS[:3])
    assert target.asked == 5 + 3  # one of them the second batch, beside the first


async def test_one_that_stays_away_ends_the_copy_which_can_go_on() -> None:
    target, state = MemoryArchive(), Noted()
    state.save(CopyProgress(position=Position(line=2)))
    target.failures = 1_000
    with pytest.raises(HistoryUnavailable):
        await copying(Numbered(5), target, state, FakeClock())(lambda *_: None)
    assert state.progress == CopyProgress(position=Position(line=2))
    target.failures = 0
    copied = await copying(Numbered(5), target, state, FakeClock())(lambda *_: None)
    assert (copied.is_complete, copied.source.count) == (True, 3)


async def test_what_can_never_be_kept_is_not_tried_again() -> None:
    target = MemoryArchive(failures=1, error=Unstorable("too long"))
    with pytest.raises(Unstorable):
        await copying(Numbered(2), target, Noted(), FakeClock())(lambda *_: None)
    assert target.asked == 1


async def test_a_source_that_breaks_leaves_what_was_begun_finished_and_noted() -> None:
    target, state = MemoryArchive(), Noted()
    with pytest.raises(HistoryUnavailable):
        await copying(Numbered(5, breaks_after=4), target, state, FakeClock())(lambda *_: None)
    assert len(target.there) == 4
    assert state.progress is not None
    assert state.progress.position.line == 4


async def test_a_record_that_the_store_swallows_is_seen() -> None:
    class Swallowing(MemoryArchive):
        async def write(self, records: Sequence[Record]) -> None:
            await super().write(records[:-1])

    copied = await copying(Numbered(4), Swallowing(), Noted(), FakeClock())(lambda *_: None)
    assert not copied.is_complete
    assert (copied.source.count, copied.target.count, copied.differing) == (4, 2, 2)


async def test_a_record_that_the_target_holds_with_other_content_differs_and_is_not_replaced() -> (
    None
):
    target = MemoryArchive()
    other = record_of(an_interaction(1, text="another answer"))
    target.there[other.key] = other
    copied = await copying(Numbered(4), target, Noted(), FakeClock())(lambda *_: None)
    assert not copied.is_complete
    assert (copied.source.count, copied.target.count) == (4, 4)
    assert copied.differing_keys == (other.key,)
    assert target.there[other.key] == other


@pytest.mark.seen("F8")
@pytest.mark.parametrize("read", ["kept", "erased_among", "source"])
async def test_every_read_of_a_copy_is_tried_again_while_a_store_is_away(read: str) -> None:
    class Forgetful(MemoryArchive):
        """Loses the first record, so that it is asked whether it was erased."""

        async def write(self, records: Sequence[Record]) -> None:
            await super().write([one for one in records if one.key != first])

        async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
            hiccup("kept")
            return await super().read(keys)

        async def erased_among(
            self, user_id: str, interaction_ids: Sequence[str]
        ) -> frozenset[str]:
            hiccup("erased_among")
            return frozenset(interaction_ids)

    class Hesitant(Numbered):
        async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
            async for batch in super().batches(after, at_most):
                yield batch
                hiccup("source")

    def hiccup(name: str) -> None:
        if name == read and len(failed) < 3:
            failed.append(name)
            raise HistoryUnreadable("away")

    failed: list[str] = []
    first = record_of(an_interaction(0)).key
    target, clock = Forgetful(), FakeClock()
    copied = await copying(Hesitant(7), target, Noted(), clock)(lambda *_: None)
    assert failed == [read] * 3
    assert (copied.is_complete, copied.source.count, copied.erased) == (True, 6, 1)


@pytest.mark.seen("F8")
async def test_a_copy_that_is_resumed_tries_its_first_reads_again_too() -> None:
    class Away(MemoryArchive):
        async def read(self, keys: Sequence[InteractionKey]) -> Sequence[Record]:
            hiccup()
            return await super().read(keys)

        async def erased_among(
            self, user_id: str, interaction_ids: Sequence[str]
        ) -> frozenset[str]:
            hiccup()
            return await super().erased_among(user_id, interaction_ids)

    def hiccup() -> None:
        if left:
            left.pop()
            raise HistoryUnreadable("away")

    left: list[int] = []
    target, state = Away(), Noted()
    with pytest.raises(HistoryUnavailable):
        await copying(Numbered(6, breaks_after=4), target, state, FakeClock())(lambda *_: None)
    left += [1, 2, 3]
    copied = await copying(Numbered(6), target, state, FakeClock())(lambda *_: None)
    assert (left, copied.is_complete, copied.source.count) == ([], True, 6)


async def test_a_source_that_holds_what_cannot_be_read_is_not_asked_again() -> None:
    class Damaged(Numbered):
        async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
            asked.append(after)
            raise HistoryDamaged("an id: cannot be read")
            yield

    asked: list[Position] = []
    with pytest.raises(HistoryDamaged):
        await copying(Damaged(3), MemoryArchive(), Noted(), FakeClock())(lambda *_: None)
    assert len(asked) == 1

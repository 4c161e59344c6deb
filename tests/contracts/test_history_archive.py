"""What every store promises about being copied as a whole."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from domain.entities.copy_progress import CopyProgress, Position
from domain.entities.interaction import Interaction, Status, first_id_at
from domain.entities.stored_record import InteractionKey, Record, Tombstone
from domain.interfaces.copy_state import CopyState
from domain.interfaces.history_archive import HistoryArchive
from domain.use_cases.copy_history import CopyHistory
from infra.clock import SystemClock
from infra.history.format.documents import record_of
from infra.history.store.durable_store import DurableStore
from infra.history.transfer.store_source import StoreSource, digest_of
from tests.contracts.archives import ARCHIVES, opened
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.interactions import an_id, an_interaction, any_interactions

Store = tuple[HistoryArchive, DurableStore]


@pytest.fixture(params=ARCHIVES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as both:
        yield both


async def records_of(
    archive: HistoryArchive, after: InteractionKey | None = None, user_id: str | None = None
) -> list[Record]:
    pages = archive.pages(after, user_id=user_id)
    return [record async for page in pages for record in page.records]


async def erasures_of(archive: HistoryArchive) -> set[Tombstone]:
    return {erasure async for page in archive.pages() for erasure in page.erasures}


def some(count: int = 60) -> list[Interaction]:
    return [an_interaction(number, user_id=f"user-{number % 7}") for number in range(count)]


def any_kept() -> list[Interaction]:
    """Return interactions as odd as the domain allows."""
    kept: dict[str, Interaction] = {}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(any_interactions)
    def remember(interaction: Interaction) -> None:
        if interaction.id > an_id(1000):  # no id is used twice
            kept.setdefault(interaction.id, interaction)

    remember()
    return list(kept.values())


@pytest.mark.slow
async def test_a_walk_meets_everything_once_and_as_it_was_written(store: Store) -> None:
    archive, history = store
    kept = await asyncio.to_thread(any_kept)
    await history.append_many(kept)

    found = await records_of(archive)

    assert sorted(found, key=lambda one: one.key) == sorted(
        map(record_of, kept), key=lambda one: one.key
    )


async def test_records_come_back_to_the_byte_also_with_fields_of_a_later_version(
    store: Store,
) -> None:
    archive, _ = store
    document = orjson.loads(record_of(an_interaction()).body) | {"later": {"deep": [1, 2.5, None]}}
    record = Record(InteractionKey("ana", document["id"]), orjson.dumps(document))

    await archive.write([record])

    assert await records_of(archive) == [record]
    assert await archive.read([record.key]) == [record]


async def test_what_is_kept_from_records_is_history(store: Store) -> None:
    archive, history = store
    interaction = an_interaction(conversation_id="c|1", model="small")
    await archive.write([record_of(interaction)])
    assert await history.find("ana", interaction.id) == interaction


async def test_a_walk_goes_on_behind_any_place(store: Store) -> None:
    archive, history = store
    await history.append_many(some())
    everything = await records_of(archive)
    assert len(everything) == 60
    for number in (0, 29, 59):
        assert await records_of(archive, everything[number].key) == everything[number + 1 :]


async def test_a_walk_goes_on_behind_a_place_that_was_erased_since(store: Store) -> None:
    archive, history = store
    await history.append_many(some())
    everything = await records_of(archive)
    await history.erase(*everything[20].key)
    assert await records_of(archive, everything[20].key) == everything[21:]


async def test_one_users_records_come_alone_and_by_id(store: Store) -> None:
    archive, history = store
    await history.append_many([*some(), an_interaction(100, user_id="user-10")])
    found = await records_of(archive, user_id="user-1")
    assert [record.key.interaction_id for record in found] == [an_id(n) for n in range(1, 60, 7)]
    assert await records_of(archive, found[2].key, "user-1") == found[3:]
    assert await records_of(archive, user_id="nobody") == []


async def test_the_rules_of_append_hold_for_records(store: Store) -> None:
    archive, history = store
    lost = an_interaction(1, status=Status.INTERRUPTED, text="", finish_reason=None)
    await history.append_many([an_interaction(0), lost])
    await history.erase("ana", an_id(2))
    await history.erase_all("bob", an_id(5))

    records = [
        record_of(an_interaction(0, text="another")),
        record_of(an_interaction(1)),
        record_of(an_interaction(2)),
        record_of(an_interaction(3, user_id="bob")),
        record_of(an_interaction(6, user_id="bob")),
    ]
    for _ in range(2):
        await archive.write(records)

    kept = await records_of(archive)
    assert sorted(kept, key=lambda one: one.key) == [
        record_of(an_interaction(0)),
        record_of(an_interaction(1)),
        record_of(an_interaction(6, user_id="bob")),
    ]
    found = await archive.read([record.key for record in records])
    assert sorted(found, key=lambda one: one.key) == sorted(kept, key=lambda one: one.key)


async def test_what_was_erased_is_told_and_can_be_erased_again(
    store: Store, tmp_path: Path
) -> None:
    archive, history = store
    await history.append_many(some())
    await history.erase("user-1", an_id(1))
    await history.erase("user-1", an_id(999))
    await history.erase_all("user-2", an_id(30))
    erased = {
        Tombstone(user_id="user-1", interaction_id=an_id(1)),
        Tombstone(user_id="user-1", interaction_id=an_id(999)),
        Tombstone(user_id="user-2", before_id=first_id_at(START_MILLISECONDS + 31)),
    }
    assert await erasures_of(archive) == erased

    async with opened("sqlite", tmp_path / "other") as (other, other_history):
        await other_history.append_many(some())
        await other.apply_tombstones(list(erased))
        assert await erasures_of(other) == erased
        assert await records_of(other) == sorted(await records_of(archive), key=lambda one: one.key)


async def test_how_many_there_are_is_about_right_or_unknown(store: Store) -> None:
    archive, history = store
    await history.append_many(some())
    assert await archive.estimated_count() in (0, 60)


class Noted(CopyState):
    """Notes in memory."""

    def __init__(self) -> None:
        self.progress: CopyProgress | None = None

    def load(self) -> CopyProgress | None:
        return self.progress

    def save(self, progress: CopyProgress) -> None:
        self.progress = progress

    def clear(self) -> None:
        self.progress = None


def copying(source: HistoryArchive, target: HistoryArchive, state: CopyState) -> CopyHistory:
    return CopyHistory(StoreSource(source), target, state, digest_of, SystemClock())


@pytest.mark.slow
@pytest.mark.parametrize(("from_", "to"), list(itertools.permutations(ARCHIVES, 2)))
async def test_a_migration_carries_everything_unchanged_and_what_was_erased(
    tmp_path: Path, from_: str, to: str
) -> None:
    odd = await asyncio.to_thread(any_kept)
    long = an_interaction(70, text="".join(random.Random(1).choices("abcdefgh", k=1_000_000)))
    async with opened(from_, tmp_path / "from") as (source, history):
        await history.append_many([*some(), *odd, replace(long, id=an_id(2**41))])
        await history.erase("user-1", an_id(1))
        await history.erase_all("user-2", an_id(30))
        async with opened(to, tmp_path / "to") as (target, target_history):
            await target_history.append(an_interaction(1, user_id="user-1"))
            state = Noted()
            copied = await copying(source, target, state)(lambda _done, _whole: None)

            def by_place(record: Record) -> InteractionKey:
                return record.key

            expected = sorted(await records_of(source), key=by_place)
            assert sorted(await records_of(target), key=by_place) == expected
            assert copied.is_complete
            assert copied.source.count == len(expected)
            assert copied.erased == 0
            assert await erasures_of(target) == await erasures_of(source)
            await target.write([record_of(an_interaction(2, user_id="user-2"))])
            assert sorted(await records_of(target), key=by_place) == expected
            assert state.progress is None


async def test_a_copy_goes_on_where_it_was_and_starts_anew_where_the_target_lost_that(
    store: Store, tmp_path: Path
) -> None:
    archive, history = store
    async with opened("sqlite", tmp_path / "from") as (source, source_history):
        await source_history.append_many(some())
        everything = await records_of(source)
        state = Noted()
        await archive.write(everything[:20])
        half = CopyProgress(position=Position(last_key=everything[19].key, line=20))
        state.save(half)
        copied = await copying(source, archive, state)(lambda _done, _whole: None)
        assert (copied.source.count, copied.is_complete) == (40, True)

        state.save(replace(half, position=Position(last_key=InteractionKey("ana", an_id(5)))))
        copied = await copying(source, archive, state)(lambda _done, _whole: None)
        assert (copied.source.count, copied.is_complete) == (60, True)

        await history.erase(*everything[19].key)
        state.save(half)
        copied = await copying(source, archive, state)(lambda _done, _whole: None)
        assert (copied.source.count, copied.is_complete) == (40, True)


async def test_a_difference_is_seen_and_named(store: Store, tmp_path: Path) -> None:
    archive, history = store
    async with opened("sqlite", tmp_path / "from") as (source, source_history):
        await source_history.append_many(some())
        await history.append(an_interaction(3, user_id="user-3", text="another answer"))
        await history.erase("user-4", an_id(4))
        copied = await copying(source, archive, Noted())(lambda _done, _whole: None)
    assert not copied.is_complete
    assert (copied.source.count, copied.target.count, copied.erased) == (59, 59, 1)
    assert (copied.differing, copied.differing_keys) == (1, (InteractionKey("user-3", an_id(3)),))

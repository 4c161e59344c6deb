"""Nothing is left of attachments and long texts once their interactions are erased or have expired."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.exceptions import HistoryDamaged
from domain.interfaces.attachments import AttachmentStore
from domain.use_cases.erase_history import EraseHistory
from infra.attachments.disk import DiskAttachments, open_disk_attachments
from infra.attachments.gridfs import GridFsAttachments
from infra.attachments.outbox import AttachmentsFirst, OutboxAttachments
from infra.attachments.s3 import S3Attachments
from infra.clock import SystemClock
from infra.history.dynamodb.items import key_of
from infra.history.dynamodb.store import DynamoHistory
from infra.history.mongo.store import MongoHistory
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.store import HISTORY_FILE, open_sqlite
from infra.history.store.durable_store import DurableStore
from tests.contracts.archives import ARCHIVES
from tests.contracts.test_copied_contents import Whole, opened, some, sweeping
from tests.contracts.test_retention import PATIENCE_SECONDS, TEN_DAYS, FastClock
from tests.fakes.claims import InMemoryIdempotencyStore
from tests.fakes.contents import a_turn_with_contents, put_all
from tests.fakes.interactions import an_id
from tests.fakes.unreliable_store import UnreliableStore

LATER_ID = an_id(10_000)


@pytest.fixture(params=ARCHIVES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Whole]:
    async with opened(request.param, tmp_path / "store") as whole:
        yield whole


async def left_in(attachments: AttachmentStore, folder: Path) -> int:
    """Return a measure of everything that a store of attachments still holds: 0 only if there is nothing."""
    if isinstance(attachments, GridFsAttachments):
        bucket = attachments._database["attachments"]
        return sum([await bucket[name].count_documents({}) for name in ("files", "chunks")])
    if isinstance(attachments, S3Attachments):
        return len([key async for key in attachments._keys("")])
    assert isinstance(attachments, DiskAttachments)
    return sum(
        len(files) + 1
        for name in ("users", "incoming", "erased")
        for _, _, files in os.walk(folder / "attachments" / name)
        if files
    )


def erasing(history: DurableStore | Outbox, attachments: AttachmentStore) -> EraseHistory:
    return EraseHistory(history, InMemoryIdempotencyStore(), lambda: LATER_ID, attachments)


@pytest.mark.slow
async def test_nothing_is_left_of_erased_users(store: Whole, tmp_path: Path) -> None:
    await store.keep(*some())
    folder = tmp_path / "store"
    assert await left_in(store.attachments, folder) > 0
    erase = erasing(store.history, store.attachments)
    await erase.all("user-0")
    assert {user for user, _ in await store.references()} == {"user-1"}
    await erase.all("user-1")
    assert await left_in(store.attachments, folder) == 0


@pytest.mark.slow
async def test_nothing_is_left_of_turns_erased_one_by_one(store: Whole, tmp_path: Path) -> None:
    turns = some()
    await store.keep(*turns)
    erase = erasing(store.history, store.attachments)
    for turn in turns:
        assert await left_in(store.attachments, tmp_path / "store") > 0 or not turn.content_ids
        await erase.one(turn.user_id, turn.id)
    assert await left_in(store.attachments, tmp_path / "store") == 0


@pytest.mark.slow
async def test_the_sweep_takes_what_interactions_left_that_the_store_removed(
    store: Whole, tmp_path: Path
) -> None:
    """A store removes expired interactions by itself, without a word to the attachments."""
    turns = some()
    await store.keep(*turns)
    for turn in turns[:-2]:
        await remove(store.history, turn.user_id, turn.id)
    sweep = sweeping(store.attachments, store.history, SystemClock())
    kept = turns[-2]
    result = await sweep()
    assert result.released > 0
    assert {one for ids in (await store.references()).values() for one in ids} == {kept.id}
    assert all(await store.contents())
    await remove(store.history, kept.user_id, kept.id)
    await sweep()
    assert await left_in(store.attachments, tmp_path / "store") == 0


async def remove(history: DurableStore, user_id: str, interaction_id: str) -> None:
    """Remove an interaction as the expiry of a store does."""
    if isinstance(history, MongoHistory):
        await history.interactions.delete_one({"_id": interaction_id})
    elif isinstance(history, DynamoHistory):
        await history.table.call("delete_item", Key=key_of(user_id, interaction_id))
    else:
        await history.erase(user_id, interaction_id)


async def test_the_embedded_store_and_the_sweep_leave_nothing_of_what_expired(
    tmp_path: Path,
) -> None:
    clock = FastClock()
    turn, contents = a_turn_with_contents()
    async with (
        open_sqlite(
            tmp_path,
            clock=clock,
            read_seconds=10.0,
            min_free_disk_bytes=0,
            retention=TEN_DAYS,
            expire_seconds=0.02,
        ) as history,
        open_disk_attachments(tmp_path, clock=clock, min_free_disk_bytes=0) as attachments,
    ):
        sweep = sweeping(attachments, history, clock)
        await put_all(attachments, turn, contents)
        await history.append(turn)
        clock.pass_days(9)
        assert (await sweep()).released == 0
        clock.pass_days(2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await history.find(turn.user_id, turn.id) is not None:
                await asyncio.sleep(0.01)
        await sweep()
        assert await left_in(attachments, tmp_path) == 0


async def test_an_interaction_that_cannot_be_read_is_erased_and_the_sweep_takes_its_contents(
    tmp_path: Path,
) -> None:
    turn, contents = a_turn_with_contents()
    async with (
        open_sqlite(
            tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
        ) as history,
        open_disk_attachments(tmp_path, clock=SystemClock(), min_free_disk_bytes=0) as attachments,
    ):
        await put_all(attachments, turn, contents)
        await history.append(turn)
        damage(tmp_path / HISTORY_FILE)
        with pytest.raises(HistoryDamaged):
            await history.find(turn.user_id, turn.id)
        await erasing(history, attachments).one(turn.user_id, turn.id)
        assert await history.find(turn.user_id, turn.id) is None
        assert await history.erased_among(turn.user_id, [turn.id]) == {turn.id}
        await sweeping(attachments, history, SystemClock())()
        assert await left_in(attachments, tmp_path) == 0


def damage(file: Path) -> None:
    """Give all interactions in the file a status that this program does not know."""
    with closing(open_writer(file, HISTORY_MIGRATIONS)) as connection:
        connection.execute("""UPDATE interaction SET body = json_set(body, '$.status', 'novel')""")


@pytest.mark.parametrize("is_erased", [True, False], ids=["erased", "expired"])
async def test_an_outbox_keeps_nothing_of_what_was_erased_or_expired_before_its_delivery(
    tmp_path: Path, *, is_erased: bool
) -> None:
    clock = FastClock()
    turn, contents = a_turn_with_contents()
    async with (
        open_sqlite(
            tmp_path / "store",
            clock=clock,
            read_seconds=10.0,
            min_free_disk_bytes=0,
            retention=TEN_DAYS,
            expire_seconds=0.02,
        ) as behind,
        open_disk_attachments(tmp_path / "store", clock=clock, min_free_disk_bytes=0) as remote,
        open_disk_attachments(tmp_path / "host", clock=clock, min_free_disk_bytes=0) as local,
    ):
        store = UnreliableStore(behind)
        store.is_away = True
        attachments = OutboxAttachments(local, remote)
        async with open_outbox(
            tmp_path / "host",
            store=store,
            before_sink=lambda sink: AttachmentsFirst(
                sink, local=local, remote=remote, clock=clock
            ),
            clock=clock,
            read_seconds=10.0,
            min_free_disk_bytes=0,
            housekeeping_seconds=0.02,
            drain_seconds=0.0,
            retention=TEN_DAYS,
        ) as outbox:
            await put_all(attachments, turn, contents)
            await outbox.append(turn)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await left_in(remote, tmp_path / "store") == 0:
                    await asyncio.sleep(0.01)  # carried, and then the store was away
            assert await left_in(local, tmp_path / "host") > 0
            if not is_erased:
                clock.pass_days(12)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while outbox.backlog().rows:
                        await asyncio.sleep(0.01)
            store.is_away = False
            if is_erased:
                await erasing(outbox, attachments).all(turn.user_id)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while outbox.backlog().rows:
                        await asyncio.sleep(0.01)
                clock.pass_days(1)
            # a delivery that had begun goes on, and carries what the next sweep removes
            sweep = sweeping(attachments, outbox, clock)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (
                    await left_in(local, tmp_path / "host") > 0
                    or await left_in(remote, tmp_path / "store") > 0
                ):
                    await sweep()
                    await asyncio.sleep(0.01)

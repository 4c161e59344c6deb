"""Attachments and long texts go with history wherever it goes, and go when it goes."""

import base64
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from domain.entities.copy_progress import CopyProgress
from domain.entities.interaction import Interaction, first_id_at
from domain.entities.items import attachment_id
from domain.entities.stored_record import InteractionKey, Record
from domain.interfaces.attachments import AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from domain.interfaces.history_archive import HistoryArchive
from domain.use_cases.copy_history import CopyHistory
from domain.use_cases.sweep_attachments import SweepAttachments
from infra.clock import SystemClock
from infra.history.format.documents import record_of
from infra.history.store.durable_store import DurableStore
from infra.history.transfer.carry_contents import CarryContents
from infra.history.transfer.export_file import Exported, export_to
from infra.history.transfer.import_file import InteractionFile
from infra.history.transfer.jsonl_format import InvalidLine, digest_of_line
from infra.history.transfer.record_contents import content_ids_of, with_long_texts
from infra.history.transfer.store_source import StoreSource, digest_of
from tests.contracts.archives import ARCHIVES
from tests.contracts.archives import opened as opened_archive
from tests.contracts.attachment_stores import STORES as ATTACHMENTS
from tests.contracts.test_history_archive import Noted, records_of
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.contents import PDF, PNG, a_turn_with_contents, put_all
from tests.fakes.interactions import an_id, an_interaction

PLACES = dict(zip(ARCHIVES, ("disk", "gridfs", "s3"), strict=True))


@dataclass(frozen=True, slots=True)
class Whole:
    """A store with its attachments."""

    archive: HistoryArchive
    history: DurableStore
    attachments: AttachmentStore

    async def keep(self, *turns: Interaction, image: bytes = PNG) -> None:
        """Keep interactions; the contents of those that `a_turn_with_contents` made go before."""
        for turn in turns:
            if turn.content_ids:
                number = int(turn.id[-12:], 16)
                _, contents = a_turn_with_contents(number, image=image, user_id=turn.user_id)
                await put_all(self.attachments, turn, contents)
        await self.history.append_many(turns)

    async def references(self) -> dict[tuple[str, str], list[str]]:
        return {
            (found.user_id, found.attachment_id): sorted(found.interaction_ids)
            async for found in self.attachments.references()
        }

    async def contents(self) -> dict[tuple[str, str], StoredContent | None]:
        return {key: await self.attachments.get(*key) for key in await self.references()}


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Whole]:
    async with (
        opened_archive(kind, folder) as (archive, history),
        ATTACHMENTS[PLACES[kind]](folder) as (attachments, _),
    ):
        yield Whole(archive, history, attachments)


@pytest.fixture(params=ARCHIVES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Whole]:
    async with opened(request.param, tmp_path / "store") as whole:
        yield whole


def some() -> list[Interaction]:
    """Return turns of two users, most of which share their contents."""
    turns = [a_turn_with_contents(number, user_id=f"user-{number % 2}")[0] for number in range(6)]
    return [*turns, an_interaction(7, user_id="user-1")]


async def exported(
    store: Whole, file: Path, *, attachments: AttachmentStore | None = None
) -> Exported:
    return await export_to(
        file,
        store.archive,
        contents=attachments or store.attachments,
        store_name="a store",
        user_id=None,
        overwrite=True,
        progress=lambda _done, _whole: None,
    )


def importing(
    file: Path, target: Whole, *, state: Noted | None = None, is_in_use: bool = True
) -> CopyHistory:
    source = InteractionFile(file, None, are_texts_apart=True)
    return CopyHistory(
        source,
        target.archive,
        state or Noted(),
        digest_of_line,
        SystemClock(),
        contents=CarryContents(source, target.attachments, content_ids_of, is_in_use),
        completed=lambda record: with_long_texts(record, target.attachments),
    )


async def imported(file: Path, target: Whole) -> CopyProgress:
    return await importing(file, target)(lambda _done, _whole: None)


async def migrated(source: Whole, target: Whole) -> CopyProgress:
    carry = CarryContents(source.attachments, target.attachments, content_ids_of, False)
    copy = CopyHistory(
        StoreSource(source.archive),
        target.archive,
        Noted(),
        digest_of,
        SystemClock(),
        contents=carry,
    )
    return await copy(lambda _done, _whole: None)


def sweeping(
    attachments: AttachmentStore, history: HistoryRepository, clock: Clock
) -> SweepAttachments:
    return SweepAttachments(attachments, history, clock, second_look_seconds=0.0)


def by_key(record: Record) -> InteractionKey:
    return record.key


def lines_of(file: Path) -> list[bytes]:
    return sorted(file.read_bytes().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(("from_", "to"), list(itertools.product(ARCHIVES, ARCHIVES)))
async def test_contents_are_the_same_after_a_round_trip(
    tmp_path: Path, from_: str, to: str
) -> None:
    async with opened(from_, tmp_path / "from") as source:
        await source.keep(*some())
        await exported(source, tmp_path / "one.jsonl")
        records = sorted(await records_of(source.archive), key=by_key)
        contents, references = await source.contents(), await source.references()
    assert len(contents) == 14
    async with opened(to, tmp_path / "to") as target:
        copied = await imported(tmp_path / "one.jsonl", target)
        assert (copied.is_complete, copied.source.count, copied.missing) == (True, 7, 0)
        assert sorted(await records_of(target.archive), key=by_key) == records
        assert await target.references() == references
        assert await target.contents() == contents
        summed = await exported(target, tmp_path / "two.jsonl")
        assert (summed.summed, summed.missing) == (copied.source, 0)
        again = await imported(tmp_path / "two.jsonl", target)
        assert (again.is_complete, again.target) == (True, copied.target)
        assert await target.references() == references
    assert lines_of(tmp_path / "two.jsonl") == lines_of(tmp_path / "one.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize(("from_", "to"), list(itertools.permutations(ARCHIVES, 2)))
async def test_a_migration_carries_contents(tmp_path: Path, from_: str, to: str) -> None:
    async with opened(from_, tmp_path / "from") as source, opened(to, tmp_path / "to") as target:
        turns = some()
        await source.keep(*turns)
        await target.keep(turns[0], turns[1])
        await source.history.erase("user-0", turns[0].id)
        await source.attachments.release("user-0", turns[0].id, turns[0].content_ids)

        copied = await migrated(source, target)

        assert copied.is_complete
        assert sorted(await records_of(target.archive), key=by_key) == sorted(
            await records_of(source.archive), key=by_key
        )
        assert await target.references() == await source.references()
        assert await target.contents() == await source.contents()


async def test_an_attachment_is_written_once_and_before_its_first_turn(
    store: Whole, tmp_path: Path
) -> None:
    await store.keep(*some())
    file = tmp_path / "all.jsonl"
    await exported(store, file)
    written: set[str] = set()
    for line in map(orjson.loads, file.read_bytes().splitlines()):
        if attachment := line.get("attachment"):
            assert attachment.keys() == {"id", "userId", "mediaType", "data"}
            content = base64.b64decode(attachment["data"])
            assert content in (PNG, PDF)
            assert attachment["id"] == attachment_id(attachment["userId"], content)
            assert attachment["id"] not in written
            written.add(attachment["id"])
        else:
            ids = {one["id"] for one in line.get("attachments", ()) if one["id"] is not None}
            assert ids <= written
            assert b"ontentId" not in orjson.dumps(line)
    assert len(written) == 4


async def test_a_target_that_refuses_an_interaction_keeps_nothing_of_it(
    store: Whole, tmp_path: Path
) -> None:
    turns = some()
    async with opened("sqlite", tmp_path / "from") as source:
        await source.keep(*turns)
        await exported(source, tmp_path / "all.jsonl")
    await store.history.erase("user-0", turns[2].id)
    await store.history.erase_all("user-1", first_id_at(START_MILLISECONDS + 100))
    other = an_interaction(4, user_id="user-0", text="another answer")
    await store.history.append(other)

    copied = await imported(tmp_path / "all.jsonl", store)

    assert (copied.differing, copied.erased) == (1, 5)
    references = await store.references()
    assert {user for user, _ in references} == {"user-0"}
    assert {one for ids in references.values() for one in ids} == {turns[0].id}


@pytest.mark.slow
async def test_a_sweep_during_an_import_takes_nothing(store: Whole, tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path / "from") as source:
        await source.keep(*some())
        await exported(source, tmp_path / "all.jsonl")
        references = await source.references()
    sweep = sweeping(store.attachments, store.history, SystemClock())
    copy, write = importing(tmp_path / "all.jsonl", store), store.archive.write
    released = 0

    async def write_after_sweep(records: Sequence[Record]) -> None:
        nonlocal released
        released += (await sweep()).released
        await write(records)

    store.archive.write = write_after_sweep  # type: ignore[method-assign]
    copied = await copy(lambda _done, _whole: None)

    assert copied.is_complete
    assert released > 0
    assert await store.references() == references


async def test_an_import_goes_on_behind_the_lines_of_attachments(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    async with opened("sqlite", tmp_path / "from") as source:
        await source.keep(*some())
        await exported(source, file)
        references = await source.references()
    async with opened("sqlite", tmp_path / "to") as target:
        first = InteractionFile(file, None, are_texts_apart=True)
        state, start = Noted(), None
        async for batch in first.batches(CopyProgress().position, 1):
            start = batch
            break
        assert start is not None
        kept = CopyProgress(position=start.position)
        state.save(kept)
        copied = await importing(file, target, state=state)(lambda _done, _whole: None)
        # the checkpoint says what the target no longer holds: all of it is imported
        assert (copied.source.count, copied.missing) == (7, 0)
        assert await target.references() == references
        state.save(kept)
        copied = await importing(file, target, state=state)(lambda _done, _whole: None)
        assert (copied.source.count, copied.missing) == (6, 0)
        await target.attachments.release_all("user-0", an_id(1000))
        state.save(kept)
        copied = await importing(file, target, state=state)(lambda _done, _whole: None)
        assert copied.missing == 0


async def test_files_without_attachments_are_imported_as_before(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    async with opened("sqlite", tmp_path / "from") as source:
        await source.keep(*some())
        await exported(source, file)
    lines = [one for one in file.read_bytes().splitlines() if not one.startswith(b'{"attach')]
    file.write_bytes(b"\n".join(lines))
    async with opened("sqlite", tmp_path / "to") as target:
        copied = await imported(file, target)
        assert (copied.is_complete, copied.source.count, copied.missing) == (True, 7, 4)
        exported_again = await exported(target, tmp_path / "again.jsonl")
        assert exported_again.missing > 0
        assert lines_of(tmp_path / "again.jsonl") == lines_of(file)


@pytest.mark.parametrize(
    "change",
    [
        {"id": attachment_id("user-0", b"another")},
        {"userId": "user-1"},
        {"userId": ""},
        {"userId": 7},
        {"data": base64.b64encode(b"another").decode()},
        {"data": "not base64!"},
        {"data": 7},
        {"data": None},
        {"mediaType": "text/html\r\nX: y"},
        {"mediaType": 7},
        {"name": "photo.png"},
    ],
)
async def test_a_line_that_lies_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "all.jsonl"
    fields = {
        "id": attachment_id("user-0", PNG),
        "userId": "user-0",
        "mediaType": "image/png",
        "data": base64.b64encode(PNG).decode(),
    }
    file.write_bytes(b"\n" + orjson.dumps({"attachment": fields}) + b"\n")
    async with opened("sqlite", tmp_path / "to") as target:
        assert (await imported(file, target)).source.count == 0
        file.write_bytes(b"\n" + orjson.dumps({"attachment": fields | change}) + b"\n")
        with pytest.raises(InvalidLine, match=r"line 2: attachment"):
            await imported(file, target)
    with pytest.raises(InvalidLine, match=r"line 1: attachment: other"):
        file.write_bytes(orjson.dumps({"attachment": fields, "id": "x"}))
        await InteractionFile(file, None).looked_through(lambda _done, _whole: None)
    with pytest.raises(InvalidLine, match=r"line 1: not JSON"):
        file.write_bytes(b'{"attachment": {"id": ')
        await InteractionFile(file, None).looked_through(lambda _done, _whole: None)


async def test_a_line_of_another_users_attachment_gives_none(tmp_path: Path) -> None:
    """Ids differ by user, so the interaction of another user can name it in a file made by hand alone."""
    file = tmp_path / "all.jsonl"
    async with opened("sqlite", tmp_path / "from") as source:
        await source.keep(*some()[:1])
        await exported(source, file)
    lines = file.read_bytes().splitlines()
    changed = orjson.loads(lines[-1]) | {"userId": "user-1"}
    file.write_bytes(b"\n".join([*lines[:-1], orjson.dumps(changed)]))
    async with opened("sqlite", tmp_path / "to") as target:
        copied = await imported(file, target)
        assert copied.missing == 2
        assert {user for user, _ in await target.references()} == {"user-1"}
        assert await target.attachments.get("user-1", attachment_id("user-0", PNG)) is None


async def test_records_of_texts_written_in_the_row_are_equal_to_texts_apart(
    tmp_path: Path,
) -> None:
    """An earlier version left long texts in the row."""
    file = tmp_path / "all.jsonl"
    async with opened("sqlite", tmp_path / "from") as source:
        turn = some()[0]
        await source.keep(turn)
        await exported(source, file)
        in_row = await with_long_texts(record_of(turn), source.attachments)
    async with opened("sqlite", tmp_path / "to") as target:
        await target.archive.write([in_row])
        copied = await imported(file, target)
        assert (copied.is_complete, copied.source.count) == (True, 1)
        assert await records_of(target.archive) == [in_row]
        assert {content for _, content in await target.references()} == {
            attachment_id("user-0", PNG),
            attachment_id("user-0", PDF),
        }

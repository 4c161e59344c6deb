"""The contract of every store of attachments."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from domain.entities.items import attachment_id
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.attachments import AttachmentStore, StoredContent
from infra.attachments import gridfs
from infra.attachments.disk import open_disk_attachments
from infra.attachments.gridfs import open_gridfs_attachments
from infra.attachments.s3 import open_s3_attachments
from infra.clock import SystemClock
from infra.storage.aws.access import AwsAccess
from tests.contracts.attachment_stores import STORES, Stores
from tests.fakes.interactions import an_id

MEBIBYTE = 1024 * 1024
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
UNUSED_PORT = 9
"""discard: no server listens on it, so that connections are refused at once."""


def image(content: bytes = PNG, media_type: str = "image/png") -> StoredContent:
    return StoredContent(media_type=media_type, content=content)


async def put(
    store: AttachmentStore, number: int = 0, content: bytes = PNG, *, user_id: str = "ana"
) -> str:
    """Store a content for interaction `number`; return the attachment's id."""
    its_id = attachment_id(user_id, content)
    await store.put(user_id, its_id, image(content), interaction_id=an_id(number))
    return its_id


async def listed(store: AttachmentStore) -> dict[tuple[str, str], list[str]]:
    """Return the references of all attachments, by user and attachment."""
    return {
        (found.user_id, found.attachment_id): sorted(found.interaction_ids)
        async for found in store.references()
    }


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param](tmp_path / "data") as stores:
        yield stores


@pytest.fixture
def store(stores: Stores) -> AttachmentStore:
    return stores[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [
        *[0, 1, 255 * 1024, 255 * 1024 + 1, 8 * 255 * 1024, MEBIBYTE],
        pytest.param(20 * MEBIBYTE, marks=pytest.mark.realtime),  # the emulator takes seconds
    ],
)
async def test_contents_are_read_back_byte_for_byte(stores: Stores, size: int) -> None:
    content = secrets.token_bytes(size)
    stores[0].admit(size)
    its_id = await put(stores[0], content=content)
    for store in stores:
        assert await store.get("ana", its_id) == image(content)


@pytest.mark.slow
@pytest.mark.parametrize("media_type", ["text/plain; charset=utf-8", "application/pdf"])
@pytest.mark.parametrize("content", [b"\n", b'{"bytes": 1}\n\r\n', bytes(1000)])
async def test_any_media_type_and_content_come_back(
    store: AttachmentStore, media_type: str, content: bytes
) -> None:
    stored = image(content, media_type)
    its_id = attachment_id("ana", content)
    await store.put("ana", its_id, stored, interaction_id=an_id())
    assert await store.get("ana", its_id) == stored


async def test_a_second_put_changes_nothing(stores: Stores) -> None:
    its_id = await put(stores[0])
    again = image(media_type="image/webp")
    await stores[1].put("ana", its_id, again, interaction_id=an_id())
    assert await stores[0].get("ana", its_id) == image()
    assert await listed(stores[0]) == {("ana", its_id): [an_id()]}


@pytest.mark.slow
@pytest.mark.parametrize("other_user", ["bob", "Ana", "an", "ana2", "ana@example.com", "x" * 128])
async def test_equal_bytes_of_two_users_share_nothing(
    store: AttachmentStore, other_user: str
) -> None:
    its_id, other_id = await put(store), await put(store, user_id=other_user)
    assert await store.get(other_user, its_id) is None
    await store.release("ana", an_id(), [its_id])
    assert await store.get("ana", its_id) is None
    assert await store.get(other_user, other_id) == image()
    assert await listed(store) == {(other_user, other_id): [an_id()]}
    await store.release_all(other_user, an_id())
    assert await listed(store) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "its_id", ["", ".", "..", "../x", "content", "a/b", "\0", "é" * 43, "a" * 43, "a" * 5000]
)
async def test_what_is_no_id_is_not_found(store: AttachmentStore, its_id: str) -> None:
    await put(store)
    assert await store.get("ana", its_id) is None
    await store.release("ana", an_id(), [its_id])


async def test_users_without_attachments_have_none(store: AttachmentStore) -> None:
    assert await store.get("ana", attachment_id("ana", PNG)) is None
    await store.release("ana", an_id(), [attachment_id("ana", PNG)])
    await store.release_all("ana", an_id())
    assert await listed(store) == {}


async def test_a_content_exists_while_an_interaction_refers_to_it(stores: Stores) -> None:
    one, other = stores
    its_id = await put(one, 1)
    assert await put(other, 2) == its_id
    assert await listed(one) == {("ana", its_id): [an_id(1), an_id(2)]}
    await one.release("ana", an_id(3), [its_id])
    await one.release("ana", an_id(1), [its_id])
    await one.release("ana", an_id(1), [its_id])
    assert await other.get("ana", its_id) == image()
    assert await listed(one) == {("ana", its_id): [an_id(2)]}
    await other.release("ana", an_id(2), [its_id])
    assert await one.get("ana", its_id) is None
    assert await listed(one) == {}
    await put(one, 4)
    assert await other.get("ana", its_id) == image()


async def test_one_interaction_releases_several_and_only_its_own(store: AttachmentStore) -> None:
    ids = [await put(store, 1, bytes([number])) for number in range(16)]
    kept = await put(store, 2, b"other")
    await put(store, 2, bytes([3]))
    await store.release("ana", an_id(1), [*ids, kept])
    assert await listed(store) == {("ana", kept): [an_id(2)], ("ana", ids[3]): [an_id(2)]}


async def test_all_references_up_to_an_interaction_are_released(store: AttachmentStore) -> None:
    ids = [await put(store, number, bytes([number])) for number in range(5)]
    shared = await put(store, 1)
    await put(store, 4)
    bobs = await put(store, 1, user_id="bob")
    await store.release_all("ana", an_id(2))
    expected = {
        ("ana", shared): [an_id(4)],
        ("ana", ids[3]): [an_id(3)],
        ("ana", ids[4]): [an_id(4)],
        ("bob", bobs): [an_id(1)],
    }
    assert await listed(store) == expected
    await store.release_all("ana", an_id(2))
    assert await listed(store) == expected
    assert await store.get("ana", ids[0]) is None
    assert await store.get("ana", ids[3]) == image(bytes([3]))


async def test_references_lists_everything(store: AttachmentStore) -> None:
    users = ["ana", "ana.b", "ana-b", "an", "Z"]
    expected = {
        (user, await put(store, number, bytes([number]), user_id=user)): [an_id(number)]
        for user in users
        for number in range(4)
    }
    for number in range(10, 14):
        its_id = await put(store, number, b"\0", user_id="Z")
        expected["Z", its_id] = [*expected["Z", its_id], an_id(number)]
    assert await listed(store) == expected


@pytest.mark.realtime
async def test_a_content_put_and_released_at_once_is_there_while_a_reference_is(
    stores: Stores,
) -> None:
    its_id = attachment_id("ana", PNG)
    for start in range(0, 60, 6):
        await put(stores[0], start)
        await asyncio.gather(
            *(put(stores[number % 2], start + number) for number in (1, 2, 3)),
            stores[0].release("ana", an_id(start), [its_id]),
            stores[1].release("ana", an_id(start), [its_id]),
        )
        assert await stores[0].get("ana", its_id) == image()
        await asyncio.gather(
            *(
                stores[number % 2].release("ana", an_id(start + number), [its_id])
                for number in (1, 2, 3)
            ),
            put(stores[1], start + 4),
        )
        assert await stores[1].get("ana", its_id) == image()
        assert await listed(stores[0]) == {("ana", its_id): [an_id(start + 4)]}
        await stores[0].release("ana", an_id(start + 4), [its_id])
    assert await listed(stores[0]) == {}


@pytest.mark.realtime
async def test_contents_stored_by_many_at_once_are_stored_once(stores: Stores) -> None:
    content = secrets.token_bytes(MEBIBYTE)
    await asyncio.gather(*(put(stores[number % 2], number, content) for number in range(12)))
    its_id = attachment_id("ana", content)
    assert await listed(stores[0]) == {("ana", its_id): [an_id(number) for number in range(12)]}
    assert await stores[1].get("ana", its_id) == image(content)


async def fails(error: type[Exception], call: Awaitable[object]) -> None:
    with pytest.raises(error):
        await call


async def is_broken(store: AttachmentStore) -> None:
    """Check the errors of every method of a store that does not work."""
    await fails(HistoryUnavailable, put(store))
    await fails(HistoryUnreadable, store.get("ana", attachment_id("ana", PNG)))
    await fails(HistoryUnreadable, store.release("ana", an_id(), [attachment_id("ana", PNG)]))
    await fails(HistoryUnreadable, store.release_all("ana", an_id()))
    await fails(HistoryUnreadable, listed(store))
    await fails(HistoryUnavailable, put(store))
    with pytest.raises(HistoryUnavailable):
        store.admit(1)


@pytest.mark.slow
async def test_an_unreachable_mongodb_is_the_documented_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("PUT_SECONDS", "GET_SECONDS"):  # the driver tries again until then
        monkeypatch.setattr(gridfs, limit, 1.0)
    uri = f"mongodb://127.0.0.1:{UNUSED_PORT}/?directConnection=true&serverSelectionTimeoutMS=100"
    async with open_gridfs_attachments(uri, database="none", clock=SystemClock()) as store:
        await is_broken(store)


async def test_an_unreachable_s3_is_the_documented_error() -> None:
    access = AwsAccess(endpoint_url=f"http://127.0.0.1:{UNUSED_PORT}", is_emulator=True)
    async with open_s3_attachments(access, bucket="none", clock=SystemClock()) as store:
        await is_broken(store)


async def test_a_disk_that_does_not_work_is_the_documented_error(tmp_path: Path) -> None:
    async with open_disk_attachments(tmp_path, clock=SystemClock(), min_free_disk_bytes=0) as store:
        await put(store)
        users = tmp_path / "attachments" / "users"
        users.rename(users.with_name("moved"))
        users.symlink_to(users)
        await is_broken(store)
        users.unlink()
        users.with_name("moved").rename(users)
        await until(lambda: is_admitted(store))
        assert await store.get("ana", attachment_id("ana", PNG)) == image()


def is_admitted(store: AttachmentStore) -> bool:
    try:
        store.admit(1)
    except HistoryUnavailable:
        return False
    return True


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_disk_without_room_for_a_content_refuses_it(tmp_path: Path) -> None:
    async with open_disk_attachments(tmp_path, clock=SystemClock(), min_free_disk_bytes=0) as store:
        store.admit(1)
        with pytest.raises(HistoryUnavailable, match="nearly full"):
            store.admit(2**60)
    async with open_disk_attachments(
        tmp_path, clock=SystemClock(), min_free_disk_bytes=2**60
    ) as store:
        with pytest.raises(HistoryUnavailable, match="nearly full"):
            store.admit(0)

"""How much space attachments take in each store."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import bson
import pytest

from domain.entities.items import attachment_id
from domain.interfaces.attachments import AttachmentStore, StoredContent
from infra.attachments.disk import DiskAttachments
from infra.attachments.gridfs import BUCKET, GridFsAttachments
from infra.attachments.s3 import S3Attachments
from tests.contracts.attachment_stores import disk, gridfs, s3
from tests.fakes.interactions import an_id

IMAGE = StoredContent(media_type="image/png", content=secrets.token_bytes(2_000_000))
ITS_ID = attachment_id("ana", IMAGE.content)
TIMES = 16


@pytest.fixture(params=[disk, gridfs, s3], ids=lambda opens: opens.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AttachmentStore]:
    async with request.param(tmp_path / "data") as (store, _):
        yield store


async def bytes_in(store: AttachmentStore) -> int:
    """Return the size of everything in the place of the store."""
    match store:
        case DiskAttachments():
            files = store._files._folder.rglob("*")
            return sum([file.stat().st_size for file in files if file.is_file()])
        case GridFsAttachments():
            size = 0
            for collection in (store._database[f"{BUCKET}.chunks"], store._files):
                async for document in collection.find():
                    size += len(bson.encode(document))
            return size
        case S3Attachments():
            answer = await store._bucket._call("list_objects_v2")
            return sum([found["Size"] for found in answer.get("Contents", ())])
    raise NotImplementedError


@pytest.mark.slow
async def test_the_same_image_sixteen_times_takes_its_space_once_and_none_once_erased(
    store: AttachmentStore,
) -> None:
    written = [
        await store.put("ana", ITS_ID, IMAGE, interaction_id=an_id(number))
        for number in range(TIMES)
    ]
    assert written == [True] + [False] * (TIMES - 1)
    assert len(IMAGE.content) <= await bytes_in(store) <= 1.05 * len(IMAGE.content)
    for number in range(TIMES - 1):
        await store.release("ana", an_id(number), [ITS_ID])
    assert await store.get("ana", ITS_ID) == IMAGE
    await store.release_all("ana", an_id(TIMES))
    assert await bytes_in(store) == 0

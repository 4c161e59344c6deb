"""Stores of attachments after a process ended in the middle of a change."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pymongo
import pytest
from botocore.exceptions import ConnectionClosedError
from bson import ObjectId

from domain.entities.items import attachment_id
from domain.exceptions import HistoryUnreadable
from domain.interfaces.attachments import AttachmentStore
from infra.attachments.disk import open_disk_attachments
from infra.attachments.disk_files import ABANDONED_SECONDS
from infra.attachments.gridfs import open_gridfs_attachments
from infra.attachments.s3 import S3Attachments
from infra.attachments.s3_bucket import Bucket, open_bucket
from infra.clock import SystemClock
from tests.contracts.test_attachment_store import PNG, image, listed, put
from tests.fakes.interactions import an_id
from tests.support.aws_emulator import shared_emulator
from tests.support.mongod import shared_mongo_uri
from tests.support.service import ROOT

ITS_ID = attachment_id("ana", PNG)
KILLED_IN = """
import os, shutil, signal, sys
from pathlib import Path
from infra.attachments.disk_files import AttachmentFiles
from tests.contracts.test_attachment_store import PNG, image
from tests.contracts.test_attachments_after_a_crash import ITS_ID
from tests.fakes.interactions import an_id

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

files = AttachmentFiles(Path(sys.argv[1]) / "attachments")
"""
BEFORE_RENAMING = "Path.rename = die\n"
BEFORE_SYNCING = "AttachmentFiles._sync_above = die\n"
BEFORE_DELETING = "shutil.rmtree = die\n"
PUT = 'files.put("ana", ITS_ID, image(), an_id())\n'
RELEASE = 'files.release("ana", ITS_ID, lambda _: True)\n'


def killed(folder: Path, *program: str) -> None:
    """Run a program on the folder that ends by SIGKILL."""
    ended = subprocess.run(
        [sys.executable, "-c", "".join([KILLED_IN, *program]), str(folder)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


def bytes_in(folder: Path) -> int:
    return sum([file.stat().st_size for file in folder.rglob("*") if file.is_file()])


@asynccontextmanager
async def disk(folder: Path) -> AsyncIterator[AttachmentStore]:
    async with open_disk_attachments(folder, clock=SystemClock(), min_free_disk_bytes=0) as store:
        yield store


@pytest.mark.slow
async def test_a_writer_killed_before_the_rename_leaves_nothing_that_is_read(
    tmp_path: Path,
) -> None:
    killed(tmp_path, BEFORE_RENAMING, PUT)
    (incoming,) = (tmp_path / "attachments" / "incoming").iterdir()
    async with disk(tmp_path) as store:
        assert await listed(store) == {}
        assert await store.get("ana", ITS_ID) is None
        assert incoming.is_dir(), "its writer may be alive"
        await put(store)
        assert await listed(store) == {("ana", ITS_ID): [an_id()]}
        await store.release("ana", an_id(), [ITS_ID])
        old = incoming.stat().st_mtime - 2 * ABANDONED_SECONDS
        os.utime(incoming, (old, old))
        assert await listed(store) == {}
    assert bytes_in(tmp_path) == 0


@pytest.mark.slow
async def test_a_writer_killed_after_the_rename_leaves_content_and_reference(
    tmp_path: Path,
) -> None:
    killed(tmp_path, BEFORE_SYNCING, PUT)
    async with disk(tmp_path) as store:
        assert await listed(store) == {("ana", ITS_ID): [an_id()]}
        assert await store.get("ana", ITS_ID) == image()
        await store.release("ana", an_id(), [ITS_ID])
        assert await listed(store) == {}
    assert bytes_in(tmp_path) == 0


@pytest.mark.slow
async def test_bytes_of_an_interrupted_release_are_deleted_later(tmp_path: Path) -> None:
    async with disk(tmp_path) as store:
        await put(store)
        killed(tmp_path, BEFORE_DELETING, RELEASE)
        assert await store.get("ana", ITS_ID) is None
        assert bytes_in(tmp_path) > 0
        assert await listed(store) == {}
        assert bytes_in(tmp_path) == 0


async def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    async with disk(tmp_path) as store:
        await put(store)
    paths = list((tmp_path / "attachments").rglob("*"))
    assert paths
    assert {path.stat().st_mode & 0o077 for path in paths} == {0}


async def test_gridfs_removes_what_interrupted_processes_left() -> None:
    uri, name = shared_mongo_uri(), f"attachments_{secrets.token_hex(6)}"
    async with (
        open_gridfs_attachments(uri, database=name, clock=SystemClock()) as store,
        pymongo.AsyncMongoClient[dict[str, object]](uri) as client,
    ):
        await put(store, 1)
        await put(store, 1, b"erased")
        files, chunks = client[name]["attachments.files"], client[name]["attachments.chunks"]
        erased = {"filename": attachment_id("ana", b"erased")}
        await files.update_one(erased, {"$set": {"metadata.references": []}})
        old, young = ObjectId.from_datetime(datetime(2020, 1, 1, tzinfo=UTC)), ObjectId()
        for file_id in (old, young):
            await chunks.insert_one({"files_id": file_id, "n": 0, "data": b"a part"})
        assert await listed(store) == {("ana", ITS_ID): [an_id(1)]}
        assert await chunks.count_documents({"files_id": young}) == 1, "its writer may be alive"
        assert await chunks.count_documents({}) == 2
        assert await store.get("ana", ITS_ID) == image()


class HookedBucket(Bucket):
    """A bucket that calls `hook` once, before or after it deletes a content."""

    def __init__(self, bucket: Bucket) -> None:
        self.__dict__.update(vars(bucket))
        self.before: Callable[[], Awaitable[object]] | None = None
        self.after: Callable[[], Awaitable[object]] | None = None

    async def delete(self, key: str) -> None:
        if not key.startswith("contents/"):
            await super().delete(key)
            return
        before, self.before = self.before, None
        if before is not None:
            await before()
        await super().delete(key)
        after, self.after = self.after, None
        if after is not None:
            await after()


class LaterClock(SystemClock):
    """The time in two hours."""

    def now_milliseconds(self) -> int:
        return super().now_milliseconds() + 2 * 3600 * 1000


@pytest.fixture
async def bucket() -> AsyncIterator[HookedBucket]:
    access = shared_emulator().access
    async with open_bucket(access, f"t{secrets.token_hex(6)}") as bucket:
        yield HookedBucket(bucket)


@pytest.fixture
def s3(bucket: HookedBucket) -> S3Attachments:
    return S3Attachments(bucket, clock=SystemClock())


async def keys(bucket: Bucket) -> list[str]:
    return [found.key.partition("/")[0] async for page in bucket.listed("") for found in page]


async def lose_connection() -> None:
    raise ConnectionClosedError(endpoint_url="s3")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_reference_that_appears_during_a_deletion_keeps_the_content(
    s3: S3Attachments, bucket: HookedBucket, when: str
) -> None:
    await put(s3, 1)
    setattr(bucket, when, lambda: put(s3, 2))
    await s3.release("ana", an_id(1), [ITS_ID])
    assert await s3.get("ana", ITS_ID) == image()
    assert await keys(bucket) == ["contents", "references"]
    assert await listed(s3) == {("ana", ITS_ID): [an_id(2)]}


async def test_a_content_that_an_interrupted_deletion_took_is_put_back(
    s3: S3Attachments, bucket: HookedBucket
) -> None:
    await put(s3, 1)
    bucket.before, bucket.after = lambda: put(s3, 2), lose_connection
    with pytest.raises(HistoryUnreadable):
        await s3.release("ana", an_id(1), [ITS_ID])
    assert await s3.get("ana", ITS_ID) is None
    later = S3Attachments(bucket, clock=LaterClock())
    assert await listed(later) == {("ana", ITS_ID): [an_id(2)]}
    assert await s3.get("ana", ITS_ID) == image()
    assert await keys(bucket) == ["contents", "references"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_interrupted_deletion_is_completed(
    s3: S3Attachments, bucket: HookedBucket, when: str
) -> None:
    await put(s3, 1)
    kept = await put(s3, 1, b"kept")
    setattr(bucket, when, lose_connection)
    with pytest.raises(HistoryUnreadable):
        await s3.release("ana", an_id(1), [ITS_ID])
    later = S3Attachments(bucket, clock=LaterClock())
    assert await listed(later) == {("ana", kept): [an_id(1)]}
    assert await s3.get("ana", ITS_ID) is None
    assert await keys(bucket) == ["contents", "references"]


async def test_a_reference_whose_content_never_came_is_listed(
    s3: S3Attachments, bucket: HookedBucket
) -> None:
    its_id = await put(s3, 1)
    await bucket.delete((await anext(bucket.listed("contents/")))[0].key)
    assert await s3.get("ana", its_id) is None
    assert await listed(s3) == {("ana", its_id): [an_id(1)]}
    await s3.release("ana", an_id(1), [its_id])
    assert await listed(s3) == {}
    assert await keys(bucket) == []


async def test_objects_of_others_are_left_alone(s3: S3Attachments, bucket: HookedBucket) -> None:
    its_id = await put(s3, 1)
    others = ["contents/x", f"contents/a b/{its_id}", "references/x/y/z", "notes"]
    for key in others:
        await bucket.put(key, image())
    assert await listed(s3) == {("ana", its_id): [an_id(1)]}
    await s3.release_all("ana", an_id(1))
    assert await listed(s3) == {}
    assert await keys(bucket) == sorted([key.partition("/")[0] for key in others])

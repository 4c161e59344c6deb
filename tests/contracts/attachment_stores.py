"""Every implementation of the port of attachments, opened for a contract."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.interfaces.attachments import AttachmentStore
from infra.attachments.disk import open_disk_attachments
from infra.attachments.gridfs import open_gridfs_attachments
from infra.attachments.s3 import open_s3_attachments
from infra.clock import SystemClock
from tests.fakes.attachments import InMemoryAttachments
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

Stores = tuple[AttachmentStore, AttachmentStore]
"""Two that share their contents, as two processes do."""


@asynccontextmanager
async def disk(folder: Path) -> AsyncIterator[Stores]:
    """A folder of one host."""
    clock = SystemClock()
    async with (
        open_disk_attachments(folder, clock=clock, min_free_disk_bytes=0) as one,
        open_disk_attachments(folder, clock=clock, min_free_disk_bytes=0) as other,
    ):
        yield one, other


@asynccontextmanager
async def gridfs(_folder: Path) -> AsyncIterator[Stores]:
    """GridFS, in a database of its own."""
    uri, name, clock = shared_mongo_uri(), f"attachments_{secrets.token_hex(6)}", SystemClock()
    async with (
        open_gridfs_attachments(uri, database=name, clock=clock) as one,
        open_gridfs_attachments(uri, database=name, clock=clock) as other,
    ):
        yield one, other


@asynccontextmanager
async def s3(_folder: Path) -> AsyncIterator[Stores]:
    """S3, in the bucket of a data stack of its own."""
    stack, clock = deploy_data_stack(shared_emulator()), SystemClock()
    access, bucket = stack.emulator.access, stack.bucket
    async with (
        open_s3_attachments(access, bucket=bucket, clock=clock) as one,
        open_s3_attachments(access, bucket=bucket, clock=clock) as other,
    ):
        yield one, other


@asynccontextmanager
async def memory(_folder: Path) -> AsyncIterator[Stores]:
    """The fake of other tests."""
    store = InMemoryAttachments()
    yield store, store


STORES = {"memory": memory, "disk": disk, "gridfs": gridfs, "s3": s3}

"""Every implementation of the idempotency port, opened for a contract."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.interfaces.idempotency import IdempotencyStore
from infra.clock import SystemClock
from infra.idempotency.dynamodb import DynamoIdempotency
from infra.idempotency.mongo import open_mongo_idempotency
from infra.idempotency.sqlite.store import open_sqlite_idempotency
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Table
from tests.fakes.claims import InMemoryIdempotencyStore
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

Stores = tuple[IdempotencyStore, IdempotencyStore]
"""Two that share what they keep, as two processes do."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Stores]:
    """The file of one host."""
    clock = SystemClock()
    async with (
        open_sqlite_idempotency(folder, clock) as one,
        open_sqlite_idempotency(folder, clock) as other,
    ):
        yield one, other


@asynccontextmanager
async def mongo(_folder: Path) -> AsyncIterator[Stores]:
    """MongoDB, in a database of its own."""
    name = f"claims_{secrets.token_hex(6)}"
    async with (
        open_mongo_idempotency(shared_mongo_uri(), database=name) as one,
        open_mongo_idempotency(shared_mongo_uri(), database=name) as other,
    ):
        yield one, other


@asynccontextmanager
async def dynamodb(_folder: Path) -> AsyncIterator[Stores]:
    """DynamoDB, in the table of a data stack of its own."""
    stack = deploy_data_stack(shared_emulator())
    access = stack.emulator.access
    async with (
        open_client("dynamodb", access, tries=2) as one,
        open_client("dynamodb", access, tries=2) as other,
    ):
        yield (
            DynamoIdempotency(Table(one, stack.table)),
            DynamoIdempotency(Table(other, stack.table)),
        )


@asynccontextmanager
async def remembering(_folder: Path) -> AsyncIterator[Stores]:
    """The fake of other tests."""
    claims = InMemoryIdempotencyStore()
    yield claims, claims


STORES = {"remembering": remembering, "sqlite": sqlite, "mongo": mongo, "dynamodb": dynamodb}

"""Every store that counts for shared limits, opened for a contract."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.limits.counters import SharedCounters
from infra.limits.dynamodb import open_dynamo_counters
from infra.limits.mongo import open_mongo_counters
from tests.fakes.counters import InMemoryCounters
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri

Counters = tuple[SharedCounters, SharedCounters]
"""Two that share what they count, as two hosts do."""

PATIENCE_SECONDS = 120.0
"""A slow call is no outage here."""


@asynccontextmanager
async def mongo() -> AsyncIterator[Counters]:
    """MongoDB, in a database of its own."""
    name = f"limits_{secrets.token_hex(6)}"
    uri = shared_mongo_uri()
    async with (
        open_mongo_counters(uri, database=name, call_seconds=PATIENCE_SECONDS) as one,
        open_mongo_counters(uri, database=name, call_seconds=PATIENCE_SECONDS) as other,
    ):
        yield one, other


@asynccontextmanager
async def dynamodb() -> AsyncIterator[Counters]:
    """DynamoDB, in the table of a data stack of its own."""
    stack = deploy_data_stack(shared_emulator())
    access, table = stack.emulator.access, stack.table
    async with (
        open_dynamo_counters(access, table=table, call_seconds=PATIENCE_SECONDS) as one,
        open_dynamo_counters(access, table=table, call_seconds=PATIENCE_SECONDS) as other,
    ):
        yield one, other


@asynccontextmanager
async def remembering() -> AsyncIterator[Counters]:
    """The fake of other tests."""
    counters = InMemoryCounters()
    yield counters, counters


COUNTERS = {"remembering": remembering, "mongo": mongo, "dynamodb": dynamodb}

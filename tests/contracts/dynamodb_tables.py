"""Opens tables of an emulator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.exceptions import HistoryUnreadable
from infra.clock import SystemClock
from infra.history.dynamodb.store import DynamoHistory, open_dynamo
from infra.storage.aws.access import AwsAccess
from tests.fakes.interactions import an_id

PATIENT_SECONDS = 120.0


@asynccontextmanager
async def open_table(
    access: AwsAccess, table: str, *, read_seconds: float
) -> AsyncIterator[DynamoHistory]:
    """Open a table, and return once it is made: on a busy machine an emulator takes its time."""
    async with open_dynamo(
        access, table=table, clock=SystemClock(), read_seconds=read_seconds
    ) as history:
        async with asyncio.timeout(PATIENT_SECONDS):
            while not await _is_there(history):
                await asyncio.sleep(0.05)
        yield history


async def _is_there(history: DynamoHistory) -> bool:
    try:
        await history.find("nobody", an_id())
    except HistoryUnreadable:
        return False
    return True

"""The way to a MongoDB server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymongo.errors
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from infra.configuration import ConfigurationError
from infra.tasks.uncancelled_calls import UncancelledCalls

Document = dict[str, Any]
"""A document as the driver reads and writes it."""

SELECTION_SECONDS = 2.0
ACKNOWLEDGE_SECONDS = 5.0
SILENCE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MongoAccess:
    """A database, and the only way to wait for what is asked of it."""

    database: AsyncDatabase[Document]
    calls: UncancelledCalls


@asynccontextmanager
async def connected_when_needed(uri: str, database: str) -> AsyncIterator[MongoAccess]:
    """Use a database; the server is looked for when it is first needed, and again whenever that is possible.

    A write is acknowledged by the majority's journals. Whatever is asked ends by itself: after so long without a
    server, a connection or a word.

    Args:
        uri: May hold a password, and is never shown.
        database: Made by the server where it is missing.

    Raises:
        ConfigurationError: The URI or the name is not one.
    """
    try:
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            uri,
            w="majority",
            journal=True,
            wTimeoutMS=round(ACKNOWLEDGE_SECONDS * 1000),
            serverSelectionTimeoutMS=round(SELECTION_SECONDS * 1000),
            connectTimeoutMS=round(SELECTION_SECONDS * 1000),
            waitQueueTimeoutMS=round(SELECTION_SECONDS * 1000),
            socketTimeoutMS=round(SILENCE_SECONDS * 1000),
        )
        access = MongoAccess(client[database], UncancelledCalls())
    except (pymongo.errors.ConfigurationError, pymongo.errors.InvalidName, ValueError) as exc:
        raise ConfigurationError("MONGO_URI or MONGO_DB is not valid") from exc
    try:
        yield access
    finally:
        await access.calls.settle(SETTLE_SECONDS)
        with suppress(TimeoutError):
            await access.calls.within(CLOSE_SECONDS, client.close())
        await access.calls.end(SETTLE_SECONDS)  # nobody needs the driver's locks any more

"""Connects to a MongoDB server."""

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
    """A database, and the waits for its calls.

    Attributes:
        database: The database; its calls must not be cancelled.
        calls: Awaits each call of the database.
    """

    database: AsyncDatabase[Document]
    calls: UncancelledCalls


@asynccontextmanager
async def connected_when_needed(uri: str, database: str) -> AsyncIterator[MongoAccess]:
    """Open a database; the driver connects when the first call needs it, and reconnects on its own.

    A write is acknowledged by the journals of a majority. Every call ends by the driver's timeouts for finding a
    server, connecting, and reading.

    Args:
        uri: May contain a password, and is never logged.
        database: Created by the server where it is missing.

    Raises:
        ConfigurationError: The URI or the name is not valid.
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
        await access.calls.end(SETTLE_SECONDS)  # the driver's locks are not needed any more

"""Creation of the indexes of MongoDB's collections while the service runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pymongo
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from infra.storage.mongo.client import Document
from infra.tasks.uncancelled_calls import UncancelledCalls

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 3600.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)

_INDEX_NOT_FOUND = frozenset({26, 27})
"""The server's error codes for a missing collection and a missing index."""


async def make_indexes(
    collection: AsyncCollection[Document],
    indexes: Sequence[IndexModel],
    calls: UncancelledCalls,
    on_away: Callable[[], None] = lambda: None,
    *,
    earlier: Sequence[str] = (),
) -> None:
    """Return once the indexes exist; retries without end, since the service does not wait for it.

    Args:
        collection: The collection.
        indexes: Its indexes.
        calls: Makes the driver's calls.
        on_away: Called if the server is not found.
        earlier: Names of indexes of earlier versions, dropped once the others exist.
    """
    pauses = iter(RETRY_SECONDS)
    pause_seconds = 0.0
    while True:
        try:
            await calls.within(LONGEST_SECONDS, _make(collection, indexes, earlier))
            return
        except (PyMongoError, TimeoutError) as exc:
            if isinstance(exc, ConnectionFailure):
                on_away()
            pause_seconds = next(pauses, pause_seconds)
            logger.warning(
                "MongoDB's indexes could not be created (%s); trying again in %.0f s",
                type(exc).__name__,
                pause_seconds,
            )
        await asyncio.sleep(pause_seconds)


async def drop_index(collection: AsyncCollection[Document], name: str) -> None:
    """Drop an index, if there is one of this name."""
    try:
        await collection.drop_index(name)
    except OperationFailure as exc:
        if exc.code not in _INDEX_NOT_FOUND:
            raise


async def _make(
    collection: AsyncCollection[Document], indexes: Sequence[IndexModel], earlier: Sequence[str]
) -> None:
    await collection.database.command("ping")  # fail early while the server is unavailable
    # For a large collection this takes longer than the limit of other calls.
    with pymongo.timeout(LONGEST_SECONDS):
        await collection.create_indexes(indexes)
        for name in earlier:
            await drop_index(collection, name)

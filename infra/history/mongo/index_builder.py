"""Creation of the indexes of MongoDB's collections while the service runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pymongo
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, PyMongoError

from infra.storage.mongo.client import Document
from infra.tasks.uncancelled_calls import UncancelledCalls

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 3600.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


async def make_indexes(
    collection: AsyncCollection[Document],
    indexes: Sequence[IndexModel],
    calls: UncancelledCalls,
    on_away: Callable[[], None] = lambda: None,
) -> None:
    """Return once the indexes exist; retries without end, since the service does not wait for it.

    Args:
        collection: The collection.
        indexes: Its indexes.
        calls: Makes the driver's calls.
        on_away: Called if the server is not found.
    """
    pauses = iter(RETRY_SECONDS)
    pause_seconds = 0.0
    while True:
        try:
            await calls.within(LONGEST_SECONDS, _make(collection, indexes))
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


async def _make(collection: AsyncCollection[Document], indexes: Sequence[IndexModel]) -> None:
    await collection.database.command("ping")  # fail early while the server is unavailable
    # For a large collection this takes longer than the limit of other calls.
    with pymongo.timeout(LONGEST_SECONDS):
        await collection.create_indexes(indexes)

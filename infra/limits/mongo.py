"""Counters of callers in MongoDB."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pymongo.errors
from pymongo import IndexModel, ReturnDocument

from infra.limits.counters import (
    NANOSECONDS,
    CountersUnavailable,
    GrantedRequests,
    GrantedTokens,
    RequestRate,
    SharedCounters,
    TokenChange,
    digest,
)
from infra.storage.mongo.client import Document, MongoAccess, connected_when_needed

_INDEXES = [IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0)]
_INDEX_SECONDS = 4.0
_KEEP_SECONDS = 300
_DAY_SECONDS = 86_400
_logger = logging.getLogger(__name__)


class MongoCounters(SharedCounters):
    """One document for each bucket and each day's budget, in the collection `limits`; the server removes expired ones.

    Each change is one update that reads and writes the document atomically.
    """

    def __init__(self, access: MongoAccess, *, call_seconds: float) -> None:
        self._call_seconds = call_seconds
        self._limits = access.database["limits"]
        self._calls = access.calls
        self._making_indexes: asyncio.Task[None] | None = None

    async def take_requests(
        self, name: str, rate: RequestRate, *, wanted: int, now: int
    ) -> GrantedRequests:
        base = {"$min": [{"$max": [{"$ifNull": ["$fullAt", now]}, now]}, now + rate.window]}
        room = {"$subtract": [now + rate.window, base]}
        available = {"$toLong": {"$floor": {"$divide": [room, rate.interval]}}}
        changed = await self._change(
            f"requests:{digest(name)}",
            [
                {"$set": {"granted": {"$max": [0, {"$min": [wanted, available]}]}}},
                {
                    "$set": {
                        "fullAt": {
                            "$add": [base, {"$multiply": ["$granted", rate.interval]}],
                        },
                        "expiresAt": _date(now // NANOSECONDS + _KEEP_SECONDS),
                    }
                },
            ],
        )
        return GrantedRequests(changed["granted"], max(0, changed["fullAt"] - now))

    async def change_tokens(self, name: str, day: int, change: TokenChange) -> GrantedTokens:
        taken = {"$ifNull": ["$taken", 0]}
        left = {"$subtract": [change.budget + change.returned, taken]}
        granted = {
            "$cond": [{"$lt": [left, max(0, change.least)]}, 0, {"$min": [change.wanted, left]}]
        }
        changed = await self._change(
            f"tokens:{digest(name)}:{day}",
            [
                {"$set": {"granted": granted}},
                {
                    "$set": {
                        "taken": {"$subtract": [{"$add": [taken, "$granted"]}, change.returned]},
                        "spent": {"$add": [{"$ifNull": ["$spent", 0]}, change.spent]},
                        "expiresAt": _date((day + 2) * _DAY_SECONDS),
                    }
                },
            ],
        )
        return GrantedTokens(
            granted=changed["granted"],
            left=change.budget - changed["taken"],
            unspent=change.budget - changed["spent"],
        )

    async def close(self) -> None:
        """Stop creating the index."""
        if self._making_indexes is not None:
            self._making_indexes.cancel()
            await asyncio.wait([self._making_indexes])

    async def _change(self, key: str, pipeline: Sequence[Document]) -> Document:
        if self._making_indexes is None:
            self._making_indexes = asyncio.create_task(self._make_indexes())
        try:
            return await self._calls.within(self._call_seconds, self._changed(key, pipeline))
        except (pymongo.errors.PyMongoError, TimeoutError) as exc:
            raise CountersUnavailable from exc

    def _changed(self, key: str, pipeline: Sequence[Document]) -> Coroutine[Any, Any, Any]:
        return self._limits.find_one_and_update(
            {"_id": key},
            pipeline,
            projection={"_id": False, "expiresAt": False},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )

    async def _make_indexes(self) -> None:
        try:
            await self._calls.within(_INDEX_SECONDS, self._limits.create_indexes(_INDEXES))
        except (pymongo.errors.PyMongoError, TimeoutError) as exc:
            self._making_indexes = None  # the next call tries again
            _logger.warning(
                "the index of the collection of limits could not be created (%s)",
                type(exc).__name__,
            )


@asynccontextmanager
async def open_mongo_counters(
    uri: str, *, database: str, call_seconds: float
) -> AsyncIterator[MongoCounters]:
    """Count in MongoDB at `uri`, with so many seconds for each call; connects on first use.

    Raises:
        ConfigurationError: The URI or the name of the database is invalid.
    """
    async with connected_when_needed(uri, database) as access:
        counters = MongoCounters(access, call_seconds=call_seconds)
        try:
            yield counters
        finally:
            await counters.close()


def _date(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

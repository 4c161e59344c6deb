"""Idempotency records in MongoDB, for all hosts that share it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymongo.errors
from pymongo import IndexModel

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import IdempotencyUnavailable
from domain.interfaces.idempotency import IdempotencyStore
from infra.storage.mongo.client import Document, MongoAccess, connected_when_needed

T = TypeVar("T")

CALL_SECONDS = 4.0

_TRIES = 3
_INDEXES = [
    IndexModel([("userId", 1), ("interactionId", 1)], name="byUser"),
    IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0),
]
_logger = logging.getLogger(__name__)


class MongoIdempotency(IdempotencyStore):
    """One document for each key, in the collection `claims`; the server removes expired ones.

    The indexes are created with the first record, so that a service without keys makes no calls.
    """

    def __init__(self, access: MongoAccess) -> None:
        self._claims = access.database["claims"]
        self._calls = access.calls
        self._making_indexes: asyncio.Task[None] | None = None

    async def claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        if self._making_indexes is None:
            self._making_indexes = asyncio.create_task(self._make_indexes())
        return await self._answer(self._claim(key, claim, now_milliseconds))

    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        return await self._answer(self._replaced(key, seen, claim))

    async def release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        await self._answer(self._claims.delete_one(_exactly(key, claim)))

    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        wanted = {"userId": user_id, "interactionId": interaction_id}
        await self._answer(self._claims.delete_many(wanted))

    async def forget_user(self, user_id: str, until_id: str) -> None:
        wanted = {"userId": user_id, "interactionId": {"$lt": first_id_after(until_id)}}
        await self._answer(self._claims.delete_many(wanted))

    async def close(self) -> None:
        """Stop creating indexes."""
        if self._making_indexes is not None:
            self._making_indexes.cancel()
            await asyncio.wait([self._making_indexes])

    async def _answer(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            return await self._calls.within(CALL_SECONDS, call)
        except (pymongo.errors.PyMongoError, TimeoutError) as exc:
            raise IdempotencyUnavailable("MongoDB does not answer as it should") from exc

    async def _claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        document = {"_id": key.digest, "userId": key.user_id, **_fields(claim)}
        for _ in range(_TRIES):
            try:
                await self._claims.insert_one(document)
            except pymongo.errors.DuplicateKeyError:
                there = await self._claims.find_one({"_id": key.digest})
            else:
                return None
            if there is None:
                continue  # released or expired in the meantime
            seen = _claim_of(there)
            if seen.expires_milliseconds > now_milliseconds:
                return seen
            if await self._replaced(key, seen, claim):
                return None
        raise IdempotencyUnavailable("other requests keep claiming and releasing the key")

    async def _replaced(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        result = await self._claims.update_one(_exactly(key, seen), {"$set": _fields(claim)})
        return result.matched_count == 1

    async def _make_indexes(self) -> None:
        try:
            await self._calls.within(CALL_SECONDS, self._claims.create_indexes(_INDEXES))
        except (pymongo.errors.PyMongoError, TimeoutError) as exc:
            self._making_indexes = None  # the next call tries again
            _logger.warning(
                "the indexes of the idempotency records could not be created (%s)",
                type(exc).__name__,
            )


@asynccontextmanager
async def open_mongo_idempotency(uri: str, *, database: str) -> AsyncIterator[MongoIdempotency]:
    """Keep records in MongoDB at `uri`; connects on first use.

    Raises:
        ConfigurationError: The URI or the name of the database is invalid.
    """
    async with connected_when_needed(uri, database) as access:
        store = MongoIdempotency(access)
        try:
            yield store
        finally:
            await store.close()


def _fields(claim: IdempotencyRecord) -> Document:
    return {
        "fingerprint": claim.fingerprint,
        "interactionId": claim.interaction_id,
        "leaseUntilMs": claim.lease_until_milliseconds,
        "expiresAt": datetime.fromtimestamp(claim.expires_milliseconds / 1000, UTC),
    }


def _claim_of(document: Mapping[str, Any]) -> IdempotencyRecord:
    expires_at: datetime = document["expiresAt"].replace(tzinfo=UTC)
    return IdempotencyRecord(
        fingerprint=document["fingerprint"],
        interaction_id=document["interactionId"],
        lease_until_milliseconds=document["leaseUntilMs"],
        expires_milliseconds=round(expires_at.timestamp() * 1000),
    )


def _exactly(key: IdempotencyKey, claim: IdempotencyRecord) -> Document:
    return {
        "_id": key.digest,
        "interactionId": claim.interaction_id,
        "leaseUntilMs": claim.lease_until_milliseconds,
    }

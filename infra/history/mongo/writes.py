"""Writes to MongoDB's collection `interactions`."""

from collections.abc import Sequence
from typing import Any

from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from domain.entities.interaction import replaced_by
from infra.history.mongo.tombstones import MongoTombstones, pairs_of
from infra.storage.mongo.client import Document

ERASED_AT_ONCE = 5000

_DUPLICATE_KEY = 11000


class MongoWrites:
    """Each method makes one or several calls of the driver and raises the driver's errors."""

    def __init__(self, interactions: AsyncCollection[Document], erasures: MongoTombstones) -> None:
        self._interactions = interactions
        self._erasures = erasures

    async def append(self, documents: Sequence[Document]) -> None:
        """Insert documents that are absent and not erased; they replace stored ones by the rule of `replaces`."""
        await self._insert(documents)
        await self._remove_erased(documents)

    async def erase_one(self, user_id: str, interaction_id: str) -> None:
        """Record one interaction as erased, and delete it."""
        await self._erasures.add_one(user_id, interaction_id)
        await self._interactions.delete_one({"_id": interaction_id, "userId": user_id})

    async def erase_some(self, user_id: str, before_id: str) -> tuple[int, bool]:
        """Delete up to 5 000 interactions below `before_id`; return how many, and whether they were the last."""
        below = {"userId": user_id, "_id": {"$lt": before_id}}
        following = await (
            self._interactions.find(below, {"_id": 1}).sort("_id", 1).skip(ERASED_AT_ONCE).limit(1)
        ).to_list()
        if following:
            below = {"userId": user_id, "_id": {"$lt": following[0]["_id"]}}
        result = await self._interactions.delete_many(below)
        return result.deleted_count, not following

    async def _insert(self, documents: Sequence[Document]) -> None:
        try:
            await self._interactions.insert_many(documents, ordered=False)
        except BulkWriteError as exc:
            errors: list[dict[str, Any]] = exc.details["writeErrors"]
            is_only_there = all(error["code"] == _DUPLICATE_KEY for error in errors)
            if not is_only_there or exc.details["writeConcernErrors"]:
                raise
            await self._replace([documents[error["index"]] for error in errors])

    async def _replace(self, documents: Sequence[Document]) -> None:
        """Replace stored documents of a status that the new one replaces; leave the others unchanged."""
        replacing = [
            ReplaceOne(
                {
                    "_id": document["_id"],
                    "userId": document["userId"],
                    "status": {"$in": sorted(statuses)},
                },
                document,
            )
            for document in documents
            if (statuses := replaced_by(document["status"]))
        ]
        if replacing:
            await self._interactions.bulk_write(replacing, ordered=False)

    async def _remove_erased(self, documents: Sequence[Document]) -> None:
        """Delete documents that were erased: read after the write, so that an erasure wins in either order."""
        for user_id, lost in (await self._erasures.among(pairs_of(documents))).items():
            await self._interactions.delete_many({"_id": {"$in": lost}, "userId": user_id})

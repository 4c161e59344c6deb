"""Tombstones in MongoDB, which late writes lose against."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.stored_record import Tombstone
from infra.storage.mongo.client import Document

NEWEST_ERASED = 1000


class MongoTombstones:
    """One tombstone for each erased interaction, one for each erased user.

    They never expire: a host that returns after months may still hold erased interactions.
    """

    def __init__(self, collection: AsyncCollection[Document]) -> None:
        self._collection = collection

    async def add_one(self, user_id: str, interaction_id: str) -> None:
        """Record one interaction as erased."""
        await self._collection.update_one(
            {"_id": _key(user_id, interaction_id)}, {"$currentDate": {"at": True}}, upsert=True
        )

    async def add_all(self, user_id: str, before_id: str) -> None:
        """Record all of the user's interactions below `before_id` as erased."""
        await self._collection.update_one(
            {"_id": _key(user_id)},
            {"$max": {"before": before_id}, "$currentDate": {"at": True}},
            upsert=True,
        )

    async def living(self, user_id: str) -> Document:
        """Return a condition on the ids of the user's interactions that excludes erased ones.

        A late copy exists for a moment before its writer removes it, and must not be counted. Of the singly erased
        interactions the newest thousand are excluded: only these may still arrive.
        """
        condition: Document = {}
        one_by_one: list[str] = []
        keys = {"$gt": _key(user_id), "$lt": f"{user_id}0"}  # 0 follows the slash
        newest = self._collection.find({"_id": keys}).sort("_id", DESCENDING).limit(NEWEST_ERASED)
        async for found in newest:
            one_by_one.append(found["_id"].removeprefix(_key(user_id)))
        everything = await self._collection.find_one({"_id": _key(user_id)})
        if everything is not None:
            condition["$gte"] = everything["before"]
        if one_by_one:
            condition["$nin"] = one_by_one
        return condition

    async def among(self, written: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """Return which of these (user, interaction) pairs are erased, by user."""
        pairs = list(written)
        keys = {_key(user_id) for user_id, _ in pairs}
        keys.update(_key(user_id, interaction_id) for user_id, interaction_id in pairs)
        tombstones: Mapping[str, Any] = {
            found["_id"]: found.get("before")
            async for found in self._collection.find({"_id": {"$in": sorted(keys)}})
        }
        erased: dict[str, list[str]] = {}
        for user_id, interaction_id in pairs if tombstones else ():
            is_below = interaction_id < (tombstones.get(_key(user_id)) or "")
            if is_below or _key(user_id, interaction_id) in tombstones:
                erased.setdefault(user_id, []).append(interaction_id)
        return erased

    async def first_living_ids(self, user_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the id below which everything of a user is erased, of those users whose history was."""
        keys = [_key(user_id) for user_id in user_ids]
        finding = self._collection.find({"_id": {"$in": keys}})
        return {found["_id"].removesuffix("/"): found["before"] async for found in finding}

    async def after(self, last_key: str, at_most: int) -> list[tuple[str, Tombstone]]:
        """Return the tombstones after a key, each with its key."""
        found = await (
            self._collection.find({"_id": {"$gt": last_key}})
            .sort("_id", 1)
            .limit(at_most)
            .to_list()
        )
        return [(tombstone["_id"], _erasure(tombstone)) for tombstone in found]


def _erasure(tombstone: Document) -> Tombstone:
    user_id, _, interaction_id = tombstone["_id"].partition("/")
    if interaction_id:
        return Tombstone(user_id=user_id, interaction_id=interaction_id)
    return Tombstone(user_id=user_id, before_id=tombstone["before"])


def _key(user_id: str, interaction_id: str = "") -> str:
    return f"{user_id}/{interaction_id}"  # a user id holds no slash


def pairs_of(documents: Sequence[Document]) -> list[tuple[str, str]]:
    """Return the (user, interaction) pairs of MongoDB's documents."""
    return [(document["userId"], document["_id"]) for document in documents]

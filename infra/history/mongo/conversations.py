"""Conversations from MongoDB."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.conversation import OPENING_CHARACTERS, ConversationPage, ConversationQuery
from infra.history.queries.conversation_pages import ConversationSpan, TurnReader, Turns, walk
from infra.storage.mongo.client import Document

# As a range, not as `$exists`: that would be looked up in the documents.
_IS_A_TURN: Document = {"conversationId": {"$gt": ""}}

TURNS_BY_ID = IndexModel(
    [("userId", ASCENDING), ("_id", DESCENDING), ("conversationId", ASCENDING)],
    partialFilterExpression=_IS_A_TURN,
)


async def conversations(
    interactions: AsyncCollection[Document],
    query: ConversationQuery,
    *,
    living: Document,
    milliseconds: int,
) -> ConversationPage:
    """Return one page of `query`.

    Args:
        interactions: With an index `TURNS_BY_ID`, and one by user, conversation and id.
        query: What is asked for.
        living: A condition on the ids of what was not erased.
        milliseconds: What a single read may take.
    """
    if query.from_id:
        living = {**living, "$gte": max(query.from_id, living.get("$gte", ""))}
    return await walk(query, MongoTurns(interactions, query.user_id, living, milliseconds))


class MongoTurns(TurnReader):
    """Turns and extents come from the indexes alone."""

    def __init__(
        self,
        interactions: AsyncCollection[Document],
        user_id: str,
        living: Document,
        milliseconds: int,
    ) -> None:
        self._interactions = interactions
        self._user_id = user_id
        self._living = living
        self._milliseconds = milliseconds

    async def turns(self, after_id: str | None, at_most: int) -> Turns:
        wanted: Document = {"userId": self._user_id, **_IS_A_TURN}
        if after_id is not None:
            wanted["_id"] = {**self._living, "$lt": after_id}
        elif self._living:
            wanted["_id"] = self._living
        found = await (
            self._interactions.find(wanted, {"conversationId": 1}, max_time_ms=self._milliseconds)
            .sort("_id", DESCENDING)
            .limit(at_most)
            .to_list()
        )
        return Turns(
            conversation_ids=[one["conversationId"] for one in found],
            next_id=found[-1]["_id"] if len(found) == at_most else None,
        )

    async def extents(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        wanted = {
            "userId": self._user_id,
            "conversationId": {"$in": list(conversation_ids)},
            **({"_id": self._living} if self._living else {}),
        }
        extent = {
            "_id": "$conversationId",
            "turns": {"$sum": 1},
            "first": {"$min": "$_id"},
            "last": {"$max": "$_id"},
        }
        cursor = await self._interactions.aggregate(
            [{"$match": wanted}, {"$group": extent}], maxTimeMS=self._milliseconds
        )
        return [
            ConversationSpan(
                conversation_id=one["_id"],
                turns=one["turns"],
                first_id=one["first"],
                last_id=one["last"],
            )
            for one in await cursor.to_list()
        ]

    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        opening = {"$substrCP": [{"$ifNull": ["$prompt", ""]}, 0, OPENING_CHARACTERS]}
        found = await self._interactions.find(
            {"_id": {"$in": list(interaction_ids)}, "userId": self._user_id},
            {"opening": opening},
            max_time_ms=self._milliseconds,
        ).to_list()
        return {one["_id"]: one["opening"] for one in found}

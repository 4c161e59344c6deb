"""Conversations from MongoDB."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.conversation import OPENING_CHARACTERS, ConversationPage, ConversationQuery
from infra.history.queries.conversation_pages import ConversationSpan, TurnReader, Turns, walk
from infra.storage.mongo.client import Document

# A range, because `$exists` is not answered from the index.
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
        interactions: The collection, with the index `TURNS_BY_ID` and one by user, conversation and id.
        query: The query.
        living: A condition on ids that excludes erased interactions.
        milliseconds: Time limit of a single read.
    """
    if query.from_id:
        living = {**living, "$gte": max(query.from_id, living.get("$gte", ""))}
    return await walk(query, MongoTurns(interactions, query.user_id, living, milliseconds))


class MongoTurns(TurnReader):
    """Reads turns and spans from the indexes alone."""

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
            conversation_ids=[turn["conversationId"] for turn in found],
            next_id=found[-1]["_id"] if len(found) == at_most else None,
        )

    async def spans(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        wanted = {
            "userId": self._user_id,
            "conversationId": {"$in": list(conversation_ids)},
            **({"_id": self._living} if self._living else {}),
        }
        span = {
            "_id": "$conversationId",
            "turns": {"$sum": 1},
            "first": {"$min": "$_id"},
            "last": {"$max": "$_id"},
        }
        cursor = await self._interactions.aggregate(
            [{"$match": wanted}, {"$group": span}], maxTimeMS=self._milliseconds
        )
        return [
            ConversationSpan(
                conversation_id=span["_id"],
                turns=span["turns"],
                first_id=span["first"],
                last_id=span["last"],
            )
            for span in await cursor.to_list()
        ]

    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        opening = {"$substrCP": [{"$ifNull": ["$prompt", ""]}, 0, OPENING_CHARACTERS]}
        found = await self._interactions.find(
            {"_id": {"$in": list(interaction_ids)}, "userId": self._user_id},
            {"opening": opening},
            max_time_ms=self._milliseconds,
        ).to_list()
        return {turn["_id"]: turn["opening"] for turn in found}

"""Conversations from the DynamoDB table."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from domain.entities.conversation import OPENING_CHARACTERS, ConversationPage, ConversationQuery
from infra.history.dynamodb.item_reader import interactions_in
from infra.history.dynamodb.items import conversation_in, key_of
from infra.history.dynamodb.schema import BY_CONVERSATION, BY_TURN
from infra.history.queries.conversation_pages import (
    ConversationSpan,
    TurnReader,
    Turns,
    page_of,
    walk,
)
from infra.storage.aws.dynamodb_table import Table

TURNS_A_QUERY = 1000
QUERIES = 10
"""Number of turns that are read before conversations are queried one by one."""

_BEFORE_ALL = " "  # sorts before every id


async def conversations(table: Table, query: ConversationQuery, first_id: str) -> ConversationPage:
    """Return one page of `query`; interactions below `first_id` are erased or expired.

    All turns are read from the index, if there are not too many: this gives the span of every conversation. For
    a user with more turns, the conversations of the page are queried one by one.
    """
    reader = DynamoTurns(table, query.user_id, first_id)
    spans, are_whole = await reader.newest_spans()
    if not are_whole:
        listed = [
            span.conversation_id
            for span in spans
            if query.after_id is not None and span.last_id >= query.after_id
        ]
        return await walk(query, reader, listed=listed)
    found = [span for span in spans if query.after_id is None or span.last_id < query.after_id]
    return await page_of(query, found, reader)


class DynamoTurns(TurnReader):
    """Reads one user's turns from the indexes, except for the openings."""

    def __init__(self, table: Table, user_id: str, first_id: str) -> None:
        """Read the turns from `first_id` on; those below are erased or expired."""
        self._table = table
        self._user_id = user_id
        self._first_id = first_id or _BEFORE_ALL

    async def turns(self, after_id: str | None, at_most: int) -> Turns:
        condition, values = "turnOf = :user", {":user": {"S": self._user_id}}
        if after_id is not None:
            condition += " AND sk < :after"
            values[":after"] = {"S": after_id}
        page = await self._table.call(
            "query",
            IndexName=BY_TURN,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            Limit=at_most,
        )
        living = [item for item in page["Items"] if item["sk"]["S"] >= self._first_id]
        is_last = "LastEvaluatedKey" not in page or len(living) < len(page["Items"])
        return Turns(
            conversation_ids=[conversation_in(item) for item in living],
            next_id=None if is_last else page["LastEvaluatedKey"]["sk"]["S"],
        )

    async def newest_spans(self) -> tuple[list[ConversationSpan], bool]:
        """Return the span of each conversation within the newest turns, and whether these are all turns."""
        turns: Counter[str] = Counter()
        first_ids: dict[str, str] = {}
        last_ids: dict[str, str] = {}
        is_all = False
        start: dict[str, Any] = {}
        for _ in range(QUERIES):
            page = await self._table.call(
                "query",
                IndexName=BY_TURN,
                KeyConditionExpression="turnOf = :user AND sk >= :first",
                ExpressionAttributeValues={
                    ":user": {"S": self._user_id},
                    ":first": {"S": self._first_id},
                },
                ProjectionExpression="sk, userConversation",
                ScanIndexForward=False,
                Limit=TURNS_A_QUERY,
                **start,
            )
            for item in page["Items"]:
                conversation_id, interaction_id = conversation_in(item), item["sk"]["S"]
                turns[conversation_id] += 1
                first_ids[conversation_id] = interaction_id
                last_ids.setdefault(conversation_id, interaction_id)
            if "LastEvaluatedKey" not in page:
                is_all = True
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        spans = [
            ConversationSpan(
                conversation_id=conversation_id,
                turns=turns[conversation_id],
                first_id=first_ids[conversation_id],
                last_id=last_ids[conversation_id],
            )
            for conversation_id in turns
        ]
        return spans, is_all

    async def spans(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        spans = await asyncio.gather(
            *(self._span(conversation_id) for conversation_id in conversation_ids)
        )
        return [span for span in spans if span.turns]

    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        keys = [key_of(self._user_id, interaction_id) for interaction_id in interaction_ids]
        found = await interactions_in(self._table, await self._table.get_many(keys))
        return {
            interaction.id: interaction.prompt.text[:OPENING_CHARACTERS] for interaction in found
        }

    async def _span(self, conversation_id: str) -> ConversationSpan:
        turns, first_id, last_id = 0, "", ""
        start: dict[str, Any] = {}
        while True:
            page = await self._table.call(
                "query",
                IndexName=BY_CONVERSATION,
                KeyConditionExpression="userConversation = :conversation AND sk >= :first",
                ExpressionAttributeValues={
                    ":conversation": {"S": f"{self._user_id}#{conversation_id}"},
                    ":first": {"S": self._first_id},
                },
                ProjectionExpression="sk",
                **start,
            )
            if page["Items"]:
                first_id = first_id or page["Items"][0]["sk"]["S"]
                last_id = page["Items"][-1]["sk"]["S"]
                turns += len(page["Items"])
            if "LastEvaluatedKey" not in page:
                return ConversationSpan(
                    conversation_id=conversation_id,
                    turns=turns,
                    first_id=first_id,
                    last_id=last_id,
                )
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

"""What a walk over a user's conversations reads from the DynamoDB table."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from domain.entities.conversation import OPENING_CHARACTERS
from infra.history.conversation_walk import Extent, TurnReader, Turns
from infra.history.dynamodb_items import conversation_in, key_of
from infra.history.dynamodb_reading import interactions_in
from infra.history.dynamodb_schema import BY_CONVERSATION, BY_TURN
from infra.history.dynamodb_table import Table

_BEFORE_ALL = " "  # sorts before every id


class DynamoTurns(TurnReader):
    """One user's turns: from the indexes, but for the openings."""

    def __init__(self, table: Table, user_id: str, first_id: str) -> None:
        """Read what is not below `first_id`: that was erased, or has expired."""
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

    async def extents(self, conversation_ids: Collection[str]) -> Sequence[Extent]:
        extents = await asyncio.gather(*(self._extent(one) for one in conversation_ids))
        return [extent for extent in extents if extent.turns]

    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        keys = [key_of(self._user_id, one) for one in interaction_ids]
        found = await interactions_in(self._table, await self._table.get_many(keys))
        return {one.id: one.prompt.text[:OPENING_CHARACTERS] for one in found}

    async def _extent(self, conversation_id: str) -> Extent:
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
                return Extent(
                    conversation_id=conversation_id,
                    turns=turns,
                    first_id=first_id,
                    last_id=last_id,
                )
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

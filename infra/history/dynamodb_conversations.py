"""Conversations from the DynamoDB table: a walk over the user's turns, newest first."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from domain.entities.conversation import (
    OPENING_CHARACTERS,
    Conversation,
    ConversationPage,
    ConversationQuery,
)
from infra.history.dynamodb_items import Item, conversation_in, key_of
from infra.history.dynamodb_reading import interactions_in
from infra.history.dynamodb_schema import BY_CONVERSATION, BY_TURN
from infra.history.dynamodb_table import Table

READ_TURNS = 500
SCANNED_TURNS = 10_000
"""What one page looks through; then it ends early and tells where to go on, so that a giant conversation blocks none."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A conversation, as the index tells of it."""

    id: str
    turns: int
    first_id: str
    last_id: str


async def conversations(table: Table, query: ConversationQuery) -> ConversationPage:
    """Return one page of `query`."""
    spans, next_id = await _page(table, query)
    keys = [key_of(query.user_id, span.first_id) for span in spans]
    first = await interactions_in(table, await table.get_many(keys))
    openings = {one.id: one.prompt.text[:OPENING_CHARACTERS] for one in first}
    return ConversationPage(
        conversations=[
            Conversation(
                id=span.id,
                turns=span.turns,
                first_id=span.first_id,
                last_id=span.last_id,
                opening=openings.get(span.first_id, ""),  # gone, if it was erased a moment ago
            )
            for span in spans
        ],
        next_id=next_id,
    )


async def _page(table: Table, query: ConversationQuery) -> tuple[list[_Span], str | None]:
    """Return the conversations of one page, last active first, and the `next_id` of the page."""
    met: set[str] = set()
    found: list[_Span] = []
    after_id = query.after_id
    for _ in range(SCANNED_TURNS // READ_TURNS):
        turns, is_end = await _turns(table, query.user_id, after_id)
        fresh = {conversation_in(turn) for turn in turns} - met
        met |= fresh
        # One that was active later than this page begins was listed before it.
        found += [
            span
            for span in await _spans(table, query.user_id, fresh)
            if query.after_id is None or span.last_id < query.after_id
        ]
        if len(found) > query.limit or is_end:
            after_id = None
            break
        after_id = turns[-1]["sk"]["S"]
    found.sort(key=lambda span: span.last_id, reverse=True)
    if len(found) > query.limit:
        found = found[: query.limit]
        after_id = found[-1].last_id
    return found, after_id


async def _turns(table: Table, user_id: str, after_id: str | None) -> tuple[list[Item], bool]:
    """Return the next turns, newest first, and whether they are the last."""
    condition, values = "turnOf = :user", {":user": {"S": user_id}}
    if after_id is not None:
        condition += " AND sk < :after"
        values[":after"] = {"S": after_id}
    page = await table.call(
        "query",
        IndexName=BY_TURN,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
        ScanIndexForward=False,
        Limit=READ_TURNS,
    )
    return page["Items"], "LastEvaluatedKey" not in page


async def _spans(table: Table, user_id: str, names: Iterable[str]) -> list[_Span]:
    spans = await asyncio.gather(*(_span(table, user_id, name) for name in names))
    return [span for span in spans if span.turns]


async def _span(table: Table, user_id: str, name: str) -> _Span:
    turns, first_id, last_id = 0, "", ""
    start: dict[str, Any] = {}
    while True:
        page = await table.call(
            "query",
            IndexName=BY_CONVERSATION,
            KeyConditionExpression="userConversation = :conversation",
            ExpressionAttributeValues={":conversation": {"S": f"{user_id}#{name}"}},
            ProjectionExpression="sk",
            **start,
        )
        if page["Items"]:
            first_id = first_id or page["Items"][0]["sk"]["S"]
            last_id = page["Items"][-1]["sk"]["S"]
            turns += len(page["Items"])
        if "LastEvaluatedKey" not in page:
            return _Span(name, turns, first_id, last_id)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

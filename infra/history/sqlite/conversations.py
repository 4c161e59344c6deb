# ruff: noqa: S608 - put together from the constants of this file; every value travels as a parameter
"""Lists conversations by a walk over the user's turns, newest first."""

from typing import Any

import apsw

from domain.entities.conversation import (
    OPENING_CHARACTERS,
    Conversation,
    ConversationPage,
    ConversationQuery,
)

SCANNED_TURNS = 10_000
"""Maximum number of turns that one page scans; it then ends early with a cursor, so that a very long conversation does not block others."""

_TURNS = """
SELECT id, conversation_id FROM interaction INDEXED BY turns_by_id
WHERE user_id = :user_id AND conversation_id IS NOT NULL AND id < :after_id AND id >= :from_id
ORDER BY id DESC
"""
_OF_CONVERSATION = """
FROM interaction INDEXED BY by_conversation
WHERE user_id = :user_id AND conversation_id = turn.conversation_id AND id >= :from_id
"""
# A conversation is listed at its newest turn, and so once.
_LISTED = f"""
SELECT
    turn.conversation_id,
    turn.id,
    (SELECT count(*) {_OF_CONVERSATION}) AS turns,
    (SELECT min(id) {_OF_CONVERSATION}) AS first_id
FROM ({_TURNS} LIMIT :scanned) AS turn
WHERE NOT EXISTS (SELECT 1 {_OF_CONVERSATION} AND id > turn.id)
ORDER BY turn.id DESC LIMIT :wanted
"""
_PAGE = f"""
SELECT listed.*, substr(coalesce(first.body ->> 'prompt', ''), 1, {OPENING_CHARACTERS})
FROM ({_LISTED}) AS listed JOIN interaction AS first INDEXED BY by_id
ON first.user_id = :user_id AND first.id = listed.first_id
ORDER BY listed.id DESC
"""
_SCANNED_TO = f"SELECT id FROM ({_TURNS} LIMIT 1 OFFSET :scanned - 1)"

_AFTER_ALL = "~"  # sorts after every id


def conversations(connection: apsw.Connection, query: ConversationQuery) -> ConversationPage:
    """Return one page of `query`."""
    values: dict[str, str | int] = {
        "user_id": query.user_id,
        "after_id": query.after_id or _AFTER_ALL,
        "from_id": query.from_id,
        "scanned": SCANNED_TURNS,
    }
    with connection:  # both statements see the same state
        rows: list[Any] = list(connection.execute(_PAGE, {**values, "wanted": query.limit + 1}))
        next_id = None
        if len(rows) <= query.limit:
            next_id = connection.execute(_SCANNED_TO, values).get
    found = [
        Conversation(id=name, last_id=last_id, turns=turns, first_id=first_id, opening=opening)
        for name, last_id, turns, first_id, opening in rows[: query.limit]
    ]
    if len(rows) > query.limit:
        next_id = found[-1].last_id
    return ConversationPage(conversations=found, next_id=next_id)

"""Listing of conversations in a store that has indexes of turns by id and by conversation only."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.entities.conversation import Conversation, ConversationPage, ConversationQuery

SCANNED_TURNS = 10_000
"""Approximate number of turns that one page scans before it ends early with a `next_id`, so that a very long conversation does not block it."""

_TURNS_A_CONVERSATION = 4
_GROWTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Some of a user's interactions that belong to a conversation, newest first.

    Attributes:
        conversation_ids: The conversation of each turn.
        next_id: The id after which the next turns follow; None when there are none.
    """

    conversation_ids: Sequence[str]
    next_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSpan:
    """The first and last turn of a conversation and their number; fields as in `Conversation`."""

    conversation_id: str
    turns: int
    first_id: str
    last_id: str


class TurnReader(Protocol):
    """Reads one user's turns."""

    @abstractmethod
    async def turns(self, after_id: str | None, at_most: int) -> Turns:
        """Return the next turns older than `after_id`."""
        ...

    @abstractmethod
    async def spans(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        """Return the span of each conversation; omit those that no longer exist."""
        ...

    @abstractmethod
    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        """Return the start of each prompt by id; omit those that no longer exist."""
        ...


async def walk(
    query: ConversationQuery, reader: TurnReader, *, listed: Collection[str] = ()
) -> ConversationPage:
    """Return one page of `query`.

    Args:
        query: The query.
        reader: The reader of that user's turns.
        listed: Conversations known to be on an earlier page.
    """
    met = set(listed)
    found: list[ConversationSpan] = []
    next_id = query.after_id
    scanned, at_most = 0, _TURNS_A_CONVERSATION * (query.limit + 1)
    while scanned < SCANNED_TURNS:
        turns = await reader.turns(next_id, at_most)
        next_id = turns.next_id
        scanned, at_most = scanned + at_most, _GROWTH * at_most
        fresh = [
            conversation_id
            for conversation_id in dict.fromkeys(turns.conversation_ids)
            if conversation_id not in met
        ]
        met.update(fresh)
        while fresh and len(found) <= query.limit:
            # They are in order of last activity, so the page needs no more than it has room for.
            room = query.limit + 1 - len(found)
            asked, fresh = fresh[:room], fresh[room:]
            # A conversation with later activity than the start of this page is on an earlier one.
            found += [
                span
                for span in await reader.spans(asked)
                if query.after_id is None or span.last_id < query.after_id
            ]
        if next_id is None or len(found) > query.limit:
            break
    return await page_of(query, found, reader, next_id=next_id)


async def page_of(
    query: ConversationQuery,
    found: Sequence[ConversationSpan],
    reader: TurnReader,
    *,
    next_id: str | None = None,
) -> ConversationPage:
    """Return the page of the most recent of the conversations found.

    Args:
        query: The query.
        found: In any order, all after `query.after_id`.
        reader: Reads the openings.
        next_id: The `next_id` of the page if it has room for all that was found.
    """
    found = sorted(found, key=lambda span: span.last_id, reverse=True)
    if len(found) > query.limit:
        found = found[: query.limit]
        next_id = found[-1].last_id
    openings = await reader.openings([span.first_id for span in found]) if found else {}
    return ConversationPage(
        conversations=[
            Conversation(
                id=span.conversation_id,
                turns=span.turns,
                first_id=span.first_id,
                last_id=span.last_id,
                opening=openings.get(span.first_id, ""),
            )
            for span in found
        ],
        next_id=next_id,
    )

"""Lists conversations out of a store that can only tell turns by id, and turns by conversation."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.entities.conversation import Conversation, ConversationPage, ConversationQuery

SCANNED_TURNS = 10_000
"""What one page looks through, about; then it ends early and tells where to go on, so that a giant conversation blocks none."""

_TURNS_A_CONVERSATION = 4
_GROWTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Some of a user's interactions that belong to a conversation, newest first.

    Attributes:
        conversation_ids: Of each of them.
        next_id: Behind which the next ones are; None when there are none.
    """

    conversation_ids: Sequence[str]
    next_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSpan:
    """How far one conversation reaches; fields as `Conversation` has them."""

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
    async def extents(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        """Return how far each of them reaches; those that are gone are left out."""
        ...

    @abstractmethod
    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        """Return the start of each prompt by id; those that are gone are left out."""
        ...


async def walk(
    query: ConversationQuery, reader: TurnReader, *, listed: Collection[str] = ()
) -> ConversationPage:
    """Return one page of `query`.

    Args:
        query: What is asked for.
        reader: Of that user.
        listed: Conversations that are known to stand on an earlier page.
    """
    met = set(listed)
    found: list[ConversationSpan] = []
    next_id = query.after_id
    scanned, at_most = 0, _TURNS_A_CONVERSATION * (query.limit + 1)
    while scanned < SCANNED_TURNS:
        turns = await reader.turns(next_id, at_most)
        next_id = turns.next_id
        scanned, at_most = scanned + at_most, _GROWTH * at_most
        fresh = [one for one in dict.fromkeys(turns.conversation_ids) if one not in met]
        met.update(fresh)
        while fresh and len(found) <= query.limit:
            # They come last active first, so no more are asked for than the page has room for.
            room = query.limit + 1 - len(found)
            asked, fresh = fresh[:room], fresh[room:]
            # One that was active later than this page begins was listed before it.
            found += [
                one
                for one in await reader.extents(asked)
                if query.after_id is None or one.last_id < query.after_id
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
    """Return the page with the first of what was found.

    Args:
        query: What is asked for.
        found: In any order, all of them behind `query.after_id`.
        reader: Tells the openings.
        next_id: Of the page, if all that was found has room in it.
    """
    found = sorted(found, key=lambda one: one.last_id, reverse=True)
    if len(found) > query.limit:
        found = found[: query.limit]
        next_id = found[-1].last_id
    openings = await reader.openings([one.first_id for one in found]) if found else {}
    return ConversationPage(
        conversations=[
            Conversation(
                id=one.conversation_id,
                turns=one.turns,
                first_id=one.first_id,
                last_id=one.last_id,
                opening=openings.get(one.first_id, ""),
            )
            for one in found
        ],
        next_id=next_id,
    )

"""Add the metadata of earlier tool calls to a prompt that a client sent without it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Status, first_id_after
from domain.entities.items import Item, ProviderMetadata, ToolCall, interaction_ids_of
from domain.entities.prompt import Message, Prompt, Role
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import HistoryRepository

_MOST_INTERACTIONS = 100


@dataclass(frozen=True, slots=True)
class RecallCallMetadata:
    """Completes the tool calls since the last question, from the interactions that they were made in.

    Clients of stateless formats send calls back without what the provider wants with them. Only calls whose id was
    made here name their interaction; for others, and if history cannot be read, the provider's adapter has to do
    without.
    """

    history: HistoryRepository

    async def __call__(self, prompt: Prompt, user_id: str) -> Prompt:
        """Return `prompt`, with metadata where it is known; unchanged if no call needs any."""
        if not any(message.items for message in prompt.messages):
            return prompt
        start = _start_of_loop(prompt.messages)
        wanted = [
            call.id
            for message in prompt.messages[start:]
            for call in message.items
            if isinstance(call, ToolCall) and call.metadata is None
        ]
        ranges = [ids for call_id in wanted if (ids := interaction_ids_of(call_id)) is not None]
        if not ranges:
            return prompt
        try:
            known = await self._metadata(user_id, ranges)
        except HistoryUnreadable:
            return prompt
        messages = [
            replace(message, items=tuple(_completed(message.items, known)))
            if message.items
            else message
            for message in prompt.messages
        ]
        return replace(prompt, messages=tuple(messages))

    async def _metadata(
        self, user_id: str, ranges: list[tuple[str, str]]
    ) -> dict[str, ProviderMetadata]:
        """Return the metadata of the user's calls in a range of ids, by call id."""
        known: dict[str, ProviderMetadata] = {}
        query = HistoryQuery(
            user_id=user_id,
            filter=HistoryFilter(
                statuses=frozenset(Status),
                from_id=min(first for first, _ in ranges),
                to_id=first_id_after(max(last for _, last in ranges)),
            ),
            limit=_MOST_INTERACTIONS,
        )
        page = await self.history.search(query)
        for interaction in page.interactions:
            for call in interaction.tool_calls:
                if call.metadata is not None:
                    known[call.id] = call.metadata
        return known


def _start_of_loop(messages: tuple[Message, ...]) -> int:
    """Return the position of the last question: providers want metadata of the calls since then."""
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].role is Role.USER and messages[position].text:
            return position
    return 0


def _completed(items: Iterable[Item], known: dict[str, ProviderMetadata]) -> Iterable[Item]:
    for item in items:
        if isinstance(item, ToolCall) and item.metadata is None and item.id in known:
            yield replace(item, metadata=known[item.id])
        else:
            yield item

"""Add the metadata of earlier tool calls to a prompt that a client sent without it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Status, first_id_after
from domain.entities.items import Item, ProviderMetadata, ToolCall, interaction_ids_of
from domain.entities.prompt import Message, Prompt, Role
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import HistoryRepository

_PAGE_INTERACTIONS = 20
_MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class RecallCallMetadata:
    """Completes the tool calls since the last question, from the interactions that they were made in.

    Clients of stateless formats send calls back without what the provider wants with them. An id that was made here
    names its interaction; calls with other ids are looked for in the newest interactions. For what is not found, and if
    history cannot be read, the provider's adapter has to do without.
    """

    history: HistoryRepository

    async def __call__(self, prompt: Prompt, user_id: str) -> Prompt:
        """Return `prompt`, with metadata where it is known; unchanged if no call needs any."""
        if not any(message.items for message in prompt.messages):
            return prompt
        start = _start_of_loop(prompt.messages)
        names = {
            call.id: call.name
            for message in prompt.messages[start:]
            for call in message.items
            if isinstance(call, ToolCall) and call.metadata is None
        }
        if not names:
            return prompt
        try:
            known = await self._metadata(user_id, names)
        except HistoryUnreadable:
            return prompt
        if not known:
            return prompt
        earlier, loop = prompt.messages[:start], prompt.messages[start:]
        completed = [
            replace(message, items=tuple(_completed(message.items, known)))
            if message.items
            else message
            for message in loop
        ]
        return replace(prompt, messages=(*earlier, *completed))

    async def _metadata(
        self, user_id: str, names: Mapping[str, str]
    ) -> dict[str, ProviderMetadata]:
        """Return the metadata of the user's calls by id, as far as it is found.

        Args:
            user_id: Already authorised.
            names: The tool of each call, by id. Some servers use an id again, so the name must be the same.
        """
        known: dict[str, ProviderMetadata] = {}
        missing = set(names)
        query = HistoryQuery(user_id=user_id, filter=_filter(names), limit=_PAGE_INTERACTIONS)
        for _ in range(_MOST_PAGES):
            page = await self.history.search(query)
            for interaction in page.interactions:
                for call in interaction.tool_calls:
                    if call.id in missing and call.name == names[call.id]:
                        missing.discard(call.id)
                        if call.metadata is not None:
                            known[call.id] = call.metadata
            if not missing or page.next_id is None:
                break
            query = replace(query, after_id=page.next_id)
        return known


def _filter(call_ids: Iterable[str]) -> HistoryFilter:
    """Return the filter of the interactions that calls belong to; of all if that is unknown of one."""
    statuses = frozenset(Status)
    ranges = [interaction_ids_of(call_id) for call_id in call_ids]
    known = [ids for ids in ranges if ids is not None]
    if len(known) < len(ranges):
        return HistoryFilter(statuses=statuses)
    return HistoryFilter(
        statuses=statuses,
        from_id=min(first for first, _ in known),
        to_id=first_id_after(max(last for _, last in known)),
    )


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

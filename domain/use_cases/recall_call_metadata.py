"""Add the metadata of earlier tool calls, and of the reasoning before them, to a prompt that a client sent without it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Status, first_id_after
from domain.entities.items import (
    Item,
    OutputItem,
    ProviderMetadata,
    Reasoning,
    ToolCall,
    interaction_ids_of,
    tool_results,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.exceptions import HistoryUnreadable
from domain.interfaces.history import HistoryRepository

_PAGE_INTERACTIONS = 20
_MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class RecallCallMetadata:
    """Completes the tool calls since the last question, from the interactions that they were made in.

    Clients of stateless formats send calls back without the metadata that the provider requires. An id that was created
    here contains the id of its interaction; calls with other ids are searched in the newest interactions. If metadata is
    not found, or history cannot be read, the provider's adapter has to do without it. Reasoning that has metadata replaces the reasoning
    that the client sent with the calls of that answer, or none.
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
            replace(message, items=_completed(message.items, known)) if message.items else message
            for message in loop
        ]
        return replace(prompt, messages=(*earlier, *completed))

    async def _metadata(self, user_id: str, names: Mapping[str, str]) -> dict[str, "_KnownCall"]:
        """Return the user's calls that were found with metadata, by id.

        Args:
            user_id: Already authorised.
            names: The tool of each call, by id. Some servers reuse ids, so the name must be the same.
        """
        known: dict[str, _KnownCall] = {}
        missing = set(names)
        query = HistoryQuery(user_id=user_id, filter=_filter(names), limit=_PAGE_INTERACTIONS)
        for _ in range(_MOST_PAGES):
            page = await self.history.search(query)
            for interaction in page.interactions:
                for call in interaction.tool_calls:
                    if call.id in missing and call.name == names[call.id]:
                        missing.discard(call.id)
                        found = _KnownCall(call.metadata, interaction.items)
                        if found.metadata is not None or found.has_reasoning_metadata:
                            known[call.id] = found
            if not missing or page.next_id is None:
                break
            query = replace(query, after_id=page.next_id)
        return known


@dataclass(frozen=True, slots=True)
class _KnownCall:
    """A call that was found.

    Attributes:
        answer: All items of the answer it is a part of.
    """

    metadata: ProviderMetadata | None
    answer: tuple[OutputItem, ...]

    @property
    def has_reasoning_metadata(self) -> bool:
        return any(
            isinstance(item, Reasoning) and item.metadata is not None for item in self.answer
        )


def _filter(call_ids: Iterable[str]) -> HistoryFilter:
    """Return the filter of the interactions that calls belong to; matches all if one of them is unknown."""
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
    """Return the position of the last question: providers require metadata of the calls since then."""
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message.role is Role.USER and message.text and not tool_results(message.items):
            return position
    return 0


def _completed(items: tuple[Item, ...], known: Mapping[str, _KnownCall]) -> tuple[Item, ...]:
    completed: list[Item] = []
    answers: list[tuple[OutputItem, ...]] = []
    for item in items:
        if isinstance(item, ToolCall) and item.metadata is None and item.id in known:
            call = known[item.id]
            completed.append(replace(item, metadata=call.metadata))
            if call.has_reasoning_metadata and call.answer not in answers:
                answers.append(call.answer)
        else:
            completed.append(item)
    if len(answers) != 1 or any(
        isinstance(item, Reasoning) and item.metadata is not None for item in items
    ):
        return tuple(completed)
    return tuple(_with_reasoning(completed, answers[0]))


def _with_reasoning(items: Sequence[Item], answer: Sequence[OutputItem]) -> Iterator[Item]:
    """Yield `items` with the reasoning of `answer` instead of their own, each before the call that it preceded."""
    others = [item for item in items if not isinstance(item, Reasoning)]
    waiting: list[Reasoning] = []
    before: dict[str, list[Reasoning]] = {}
    for item in answer:
        if isinstance(item, Reasoning):
            waiting.append(item)
        elif isinstance(item, ToolCall):
            before[item.id] = waiting
            waiting = []
    first = next(item for item in others if isinstance(item, ToolCall))
    yield from before.pop(first.id, ())  # before the text of the answer too
    for other in others:
        if isinstance(other, ToolCall):
            yield from before.pop(other.id, ())
        yield other

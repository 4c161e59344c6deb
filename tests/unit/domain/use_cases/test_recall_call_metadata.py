"""Metadata of tool calls, for prompts of clients that send calls back without it."""

from dataclasses import replace

import pytest

from domain.entities.items import (
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    call_id,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.use_cases.recall_call_metadata import RecallCallMetadata
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

SIGNATURE = ProviderMetadata(kind="gemini", family="gem", value="c2ln")
FOREIGN = ToolCall(id="functions.f:0", name="f", arguments="{}")
MADE_HERE = replace(FOREIGN, id=call_id(an_id(5), 0))


def signed(call: ToolCall) -> ToolCall:
    return replace(call, metadata=SIGNATURE)


def a_round(*calls: ToolCall) -> tuple[Message, Message]:
    results = tuple([ToolResult(call_id=call.id, output="1") for call in calls])
    return (
        Message(role=Role.ASSISTANT, text="", items=calls),
        Message(role=Role.USER, text="", items=results),
    )


def a_prompt(*calls: ToolCall) -> Prompt:
    return Prompt(messages=(Message(role=Role.USER, text="Why?"), *a_round(*calls)))


def calls_of(prompt: Prompt) -> list[ToolCall]:
    return [
        item for message in prompt.messages for item in message.items if isinstance(item, ToolCall)
    ]


@pytest.fixture
def history() -> InMemoryHistory:
    return InMemoryHistory()


async def keep(history: InMemoryHistory, number: int, *calls: ToolCall) -> None:
    await history.append(an_interaction(number, text="", items=(Reasoning(text="Hm."), *calls)))


@pytest.mark.parametrize("call", [MADE_HERE, FOREIGN])
async def test_metadata_is_found_by_the_id(history: InMemoryHistory, call: ToolCall) -> None:
    await keep(history, 5, signed(call))
    completed = await RecallCallMetadata(history)(a_prompt(call), "ana")
    assert calls_of(completed) == [signed(call)]


@pytest.mark.parametrize("others", [0, 19, 150])
async def test_newer_interactions_are_passed_over(history: InMemoryHistory, others: int) -> None:
    await keep(history, 5, signed(FOREIGN))
    for number in range(6, 6 + others):
        await history.append(an_interaction(number))
    completed = await RecallCallMetadata(history)(a_prompt(FOREIGN), "ana")
    assert calls_of(completed) == [signed(FOREIGN)]


async def test_the_search_has_an_end(history: InMemoryHistory) -> None:
    for number in range(300):
        await history.append(an_interaction(number))
    prompt = a_prompt(FOREIGN)
    assert await RecallCallMetadata(history)(prompt, "ana") is prompt
    assert history.searches == 10


async def test_an_id_made_here_is_looked_for_at_its_time_only(history: InMemoryHistory) -> None:
    await keep(history, 5, signed(MADE_HERE))
    for number in range(6, 300):
        await history.append(an_interaction(number))
    completed = await RecallCallMetadata(history)(a_prompt(MADE_HERE), "ana")
    assert calls_of(completed) == [signed(MADE_HERE)]
    assert history.searches == 1


async def test_the_newest_call_of_the_same_tool_counts(history: InMemoryHistory) -> None:
    older = replace(FOREIGN, metadata=replace(SIGNATURE, value="b2xk"))
    await keep(history, 1, older)
    await keep(history, 2, signed(FOREIGN))
    await keep(history, 3, replace(older, name="g"))
    completed = await RecallCallMetadata(history)(a_prompt(FOREIGN), "ana")
    assert calls_of(completed) == [signed(FOREIGN)]


async def test_a_call_without_metadata_ends_the_search_too(history: InMemoryHistory) -> None:
    for number in range(100):
        await history.append(an_interaction(number))
    await keep(history, 100, FOREIGN)
    prompt = a_prompt(FOREIGN)
    assert await RecallCallMetadata(history)(prompt, "ana") is prompt
    assert history.searches == 1


async def test_another_users_calls_are_not_found(history: InMemoryHistory) -> None:
    await keep(history, 5, signed(FOREIGN))
    prompt = a_prompt(FOREIGN)
    assert await RecallCallMetadata(history)(prompt, "bob") is prompt


async def test_an_unreadable_history_changes_nothing(history: InMemoryHistory) -> None:
    history.is_unreadable = True
    prompt = a_prompt(FOREIGN)
    assert await RecallCallMetadata(history)(prompt, "ana") is prompt


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.from_text("Why?"),
        a_prompt(signed(FOREIGN)),
        Prompt(messages=(*a_prompt(FOREIGN).messages, Message(role=Role.USER, text="And now?"))),
    ],
    ids=["text", "complete", "calls before the last question"],
)
async def test_history_is_read_only_for_calls_that_need_it(
    history: InMemoryHistory, prompt: Prompt
) -> None:
    assert await RecallCallMetadata(history)(prompt, "ana") is prompt
    assert history.searches == 0


ENCRYPTED = ProviderMetadata(kind="anthropic", family="claude", value="c2ln")
THOUGHT = Reasoning(text="Hm.", metadata=ENCRYPTED)
HIDDEN = Reasoning(text="", metadata=ENCRYPTED)


def assistant_items(prompt: Prompt) -> tuple[Item, ...]:
    return next(m.items for m in prompt.messages if m.role is Role.ASSISTANT)


@pytest.mark.parametrize("sent", [(), (Reasoning(text="Hm."),), (Reasoning(text="Altered."),)])
async def test_reasoning_with_metadata_comes_back_with_its_call(
    history: InMemoryHistory, sent: tuple[Item, ...]
) -> None:
    second = replace(FOREIGN, id="functions.f:1")
    items = (THOUGHT, HIDDEN, Text(text="Now:"), FOREIGN, HIDDEN, second)
    await history.append(an_interaction(5, text="Now:", items=items))
    rewritten = replace(FOREIGN, arguments='{ "a": 1 }')
    calls, results = a_round(rewritten, second)
    calls = replace(calls, text="Now:", items=(*sent, Text(text="Now:"), *calls.items))
    noted = replace(results, text="Go on.", items=(*results.items, Text(text="Go on.")))
    prompt = Prompt(messages=(Message(role=Role.USER, text="Why?"), calls, noted))
    completed = await RecallCallMetadata(history)(prompt, "ana")
    assert assistant_items(completed) == (
        THOUGHT,
        HIDDEN,
        Text(text="Now:"),
        rewritten,
        HIDDEN,
        second,
    )


async def test_reasoning_without_metadata_stays_as_it_was_sent(history: InMemoryHistory) -> None:
    await keep(history, 5, signed(FOREIGN))
    completed = await RecallCallMetadata(history)(a_prompt(FOREIGN), "ana")
    assert assistant_items(completed) == (signed(FOREIGN),)

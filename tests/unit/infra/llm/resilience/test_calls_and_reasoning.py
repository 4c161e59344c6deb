"""Tool calls count as first text, reasoning as life alone, in every wrapper."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from domain.entities.items import ProviderMetadata, Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import (
    CALL_PROGRESS,
    PROGRESS,
    AnswerEvent,
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Reply,
)
from domain.entities.tools import OF_CHATS, Capability, ResponseFormat, Tool
from domain.exceptions import ContentBlocked, LLMTimeout, LLMUnavailable
from infra.clock import SystemClock
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.call_hooks import CallHooks, HookedClient
from infra.llm.resilience.continuation import continuing
from infra.llm.resilience.deadline import Deadline
from infra.llm.resilience.metered import Metered
from tests.fakes.chat_contexts import a_chat_context as a_real_context
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    PROMPT,
    RecordingObserver,
    RouteHarness,
    a_chat_context,
    falling_back,
    read_answer,
)

CALL = ToolCall(id="call_1", name="x", arguments="{}")
THOUGHT = ReasoningDelta("hm")
METADATA = MetadataReceived(
    metadata=ProviderMetadata(kind="k", family="f", value="v"), is_reasoning=True
)
BROKE = LLMUnavailable(connection_broke=True)
WITH_TOOLS = replace(PROMPT, tools=(Tool(name="x"),))
TO_SCHEMA = replace(PROMPT, response_format=ResponseFormat())
WITH_RESULTS = Prompt(
    messages=(
        Message(role=Role.USER, text="Hi"),
        Message(role=Role.ASSISTANT, text="", items=(CALL,)),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="call_1", output="ok"),)),
    )
)
SHORT = 0.05


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Watching(CallHooks[list[str]]):
    """Records when the first text comes."""

    def __init__(self) -> None:
        self.firsts = 0

    def on_enter(self, context: object) -> list[str]:
        return []

    def on_first_text(self, call: list[str]) -> None:
        self.firsts += 1


@pytest.mark.parametrize(
    ("events", "firsts"),
    [
        ([THOUGHT, METADATA, PROGRESS], 0),
        ([THOUGHT, CALL], 1),
        ([CALL, CALL, "text"], 1),
        (["text", CALL], 1),
    ],
)
async def test_hooks_take_a_call_for_the_first_text(
    clock: FakeClock, events: list[AnswerEvent], firsts: int
) -> None:
    hooks = Watching()
    client = HookedClient(ScriptedLLM(tuple(events)), [hooks])
    heard = await read_answer(client, a_chat_context(clock))
    assert heard.pieces[1:-1] == events
    assert hooks.firsts == firsts


async def test_the_first_text_that_is_metered_may_be_a_call(clock: FakeClock) -> None:
    observer = RecordingObserver()
    metered = Metered(provider="p", model="a", answered_status=200, clock=clock, observer=observer)
    script = ((THOUGHT, CALL), (THOUGHT,))
    client = HookedClient(ScriptedLLM(*script), [metered])
    for _ in script:
        async with aclosing(client.stream(PROMPT, a_chat_context(clock))) as events:
            async for _ in events:
                clock.advance(0.5)
    assert [first_text for _, first_text, _ in observer.ended] == [1.0, None]


def bounded(*events: AnswerEvent | asyncio.Event, idle_seconds: float = SHORT) -> Deadline:
    return Deadline(
        ScriptedLLM(events),
        clock=SystemClock(),
        first_token_seconds=4 * SHORT,
        first_token_share=1.0,
        min_attempt_seconds=0.0,
        idle_seconds=idle_seconds,
    )


class Paced(ScriptedLLM):
    """Pauses before each event."""

    async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
        async for event in super().stream(prompt, context):
            await asyncio.sleep(SHORT / 2)
            yield event


async def test_reasoning_is_life_within_an_answer_but_no_first_text() -> None:
    context = a_real_context(is_streamed=True)
    context.has_fallback = True
    client = bounded(idle_seconds=10.0)
    client._inner = Paced((THOUGHT,) * 40)
    with pytest.raises(LLMTimeout):
        async with asyncio.timeout(120):
            async for _ in client.stream(PROMPT, context):
                pass
    client = bounded(idle_seconds=2 * SHORT)
    client._inner = Paced((CALL, *[THOUGHT, METADATA, PROGRESS] * 4))
    async with asyncio.timeout(120):
        events = [event async for event in client.stream(PROMPT, context)]
    assert isinstance(events[-1], Reply)


async def test_a_call_that_is_being_written_is_waited_for_as_text_is() -> None:
    context = a_real_context(is_streamed=True)
    context.has_fallback = True
    client = bounded(idle_seconds=10.0)
    client._inner = Paced((*[CALL_PROGRESS] * 20, CALL))
    async with asyncio.timeout(120):
        events = [event async for event in client.stream(PROMPT, context)]
    assert CALL in events


async def test_silence_after_a_call_is_an_idle_timeout() -> None:
    context = a_real_context(is_streamed=True)
    with pytest.raises(LLMTimeout):
        async with asyncio.timeout(120):
            async for _ in bounded(CALL, asyncio.Event()).stream(PROMPT, context):
                pass


@pytest.mark.parametrize(
    ("events", "is_streamed", "calls"),
    [
        ((THOUGHT, METADATA), True, 2),
        ((THOUGHT, METADATA), False, 2),
        ((THOUGHT, CALL), True, 1),
        ((CALL,), False, 2),
    ],
)
async def test_nothing_is_retried_after_a_streamed_call(
    clock: FakeClock, events: tuple[AnswerEvent, ...], is_streamed: bool, calls: int
) -> None:
    rig = RouteHarness(clock, (*events, BROKE), "whole")
    context = a_chat_context(clock, is_streamed=is_streamed)
    heard = await read_answer(rig.retry, context)
    assert rig.calls == calls
    assert heard.error is (BROKE if calls == 1 else None)


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("before", [(), ("text",)])
async def test_nothing_falls_back_after_a_streamed_call(
    clock: FakeClock, before: tuple[str, ...], continues: bool
) -> None:
    first = RouteHarness(clock, (*before, CALL, BROKE), continues=continues)
    second = RouteHarness(clock, "no", model="b", continues=continues)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert (heard.error, first.calls, second.calls) == (BROKE, 1, 0)


async def test_a_plain_answer_starts_over_after_a_call_and_any_after_reasoning(
    clock: FakeClock,
) -> None:
    for is_streamed, event in ((False, CALL), (True, THOUGHT)):
        down = LLMUnavailable(http_status=200)
        first = RouteHarness(clock, (event, down))
        second = RouteHarness(clock, (CALL,), model="b")
        context = a_chat_context(clock, is_streamed=is_streamed)
        heard = await read_answer(falling_back(clock, first, second), context)
        assert (heard.error, heard.voices) == (None, ["a", "b"])


async def test_a_block_after_a_streamed_call_ends_the_answer(clock: FakeClock) -> None:
    first = RouteHarness(clock, (CALL, ContentBlocked()))
    heard = await read_answer(falling_back(clock, first), a_chat_context(clock, is_streamed=True))
    assert heard.pieces[1:] == [CALL, Reply(finish_reason=FinishReason.CONTENT_FILTER)]


@pytest.mark.parametrize(
    ("prompt", "capability"),
    [
        (WITH_TOOLS, Capability.TOOLS),
        (WITH_RESULTS, Capability.TOOLS),
        (TO_SCHEMA, Capability.JSON_SCHEMA),
    ],
)
async def test_routes_that_lack_a_capability_are_skipped(
    clock: FakeClock, prompt: Prompt, capability: Capability
) -> None:
    down = LLMUnavailable(http_status=200)
    everything = OF_CHATS
    first = RouteHarness(clock, down, down, capabilities=everything)
    lacking = RouteHarness(clock, "no", model="b", capabilities=everything - {capability})
    able = RouteHarness(clock, "yes", model="c", capabilities=frozenset({capability}))
    heard = await read_answer(
        falling_back(clock, first, lacking, able), a_chat_context(clock), prompt
    )
    assert (heard.text, heard.voices, lacking.calls) == ("yes", ["a", "c"], 0)
    assert able.llm.asked[0].response_format == prompt.response_format
    heard = await read_answer(falling_back(clock, first, lacking), a_chat_context(clock), prompt)
    assert (heard.error, lacking.calls) == (down, 0)


async def test_a_plain_question_needs_no_capability(clock: FakeClock) -> None:
    first = RouteHarness(clock, LLMUnavailable(http_status=200))
    second = RouteHarness(clock, "yes", model="b")
    heard = await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    assert heard.text == "yes"


def test_a_partial_answer_of_items_goes_on_in_its_items() -> None:
    partial = Message(role=Role.ASSISTANT, text="The ", items=(Text(text="The "),))
    prompt = Prompt(messages=(Message(role=Role.USER, text="Hi"), partial))
    *_, last = continuing(prompt, "capital").messages
    assert (last.text, last.items) == ("The capital", (Text(text="The "), Text(text="capital")))

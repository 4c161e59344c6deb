"""What every way to a model promises, whoever is behind it and whatever is around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import pytest

from domain.entities.items import Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import (
    NO_USAGE,
    AnswerEvent,
    FinishReason,
    ProviderSelected,
    ReasoningDelta,
    Reply,
)
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool
from domain.exceptions import ContentBlocked, LLMError, LLMUnavailable
from domain.interfaces.llm_client import LLMClient
from tests.contracts.llm_under_test import BUILDERS, SELF_WILLED, LLMUnderTest, expected_error
from tests.fakes.behaviour import (
    USAGE,
    Behaviour,
    Blocks,
    Breaks,
    Calls,
    Hangs,
    Piece,
    Refuses,
    Says,
    Thinks,
)
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.received import reasoning_of

Build = Callable[..., Awaitable[LLMUnderTest]]
PROMPT = Prompt.from_text("What is the capital of France?", system="Be short.", temperature=0.5)
AGAIN = 4  # more often than anything that tries again would


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=[*BUILDERS, *SELF_WILLED])
def anyone(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Build:
    return lambda *behaviours: {**BUILDERS, **SELF_WILLED}[request.param](stack, behaviours)


@pytest.fixture(params=BUILDERS)
def llm(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Build:
    """Make a client behind which the behaviours happen, one a call."""
    return lambda *behaviours: BUILDERS[request.param](stack, behaviours)


async def events_of(client: LLMClient, prompt: Prompt = PROMPT) -> list[AnswerEvent]:
    async with asyncio.timeout(120):
        return [piece async for piece in client.stream(prompt, a_chat_context())]


async def heard_until_failure(client: LLMClient) -> tuple[str, LLMError]:
    text = ""
    with pytest.raises(LLMError) as raised:
        async with asyncio.timeout(120):
            async for piece in client.stream(PROMPT, a_chat_context()):
                assert not isinstance(piece, Reply)
                if isinstance(piece, str):
                    text += piece
                elif not piece.continues:
                    text = ""  # somebody starts anew
    return text, raised.value


def text_of(pieces: Sequence[AnswerEvent]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


async def test_it_says_who_answers_then_the_text_then_how_it_ended(anyone: Build) -> None:
    under_test = await anyone(Says(["The capital", " is ", "Paris."]))
    first, *texts, last = await events_of(under_test.client)
    assert isinstance(first, ProviderSelected)
    assert texts
    assert all(isinstance(text, str) and text for text in texts)
    assert isinstance(last, Reply)
    assert last.finish_reason is FinishReason.STOP
    assert not last.was_cut_at_limit


async def test_it_may_be_shared_between_tasks(anyone: Build) -> None:
    under_test = await anyone(*[Says(["The capital", " is ", "Paris."])] * 20)
    answers = await asyncio.gather(*(events_of(under_test.client) for _ in range(20)))
    assert len({text_of(answer) for answer in answers}) == 1


async def test_it_may_be_closed_before_it_was_begun(anyone: Build) -> None:
    under_test = await anyone(Says(["never asked for"]))
    await under_test.client.stream(PROMPT, a_chat_context()).aclose()


async def test_a_conversation_with_a_partial_answer_is_taken(anyone: Build) -> None:
    under_test = await anyone(Says([" of France"]))
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="What is the capital?"),
            Message(role=Role.ASSISTANT, text="The capital"),
        )
    )
    assert isinstance((await events_of(under_test.client, prompt))[-1], Reply)


async def test_the_text_comes_unchanged(llm: Build) -> None:
    pieces = ["Olá, ", "世界 ", "👩‍🚀\n", "  two  spaces\t", '"quoted" \\ \u2028 \u0000 end']
    under_test = await llm(Says(pieces))
    assert text_of(await events_of(under_test.client)) == "".join(pieces)


WITH_TOOLS = replace(PROMPT, tools=(Tool(name="x"),), reasoning_effort=ReasoningEffort.LOW)


@pytest.mark.parametrize("in_fragments", [False, True])
async def test_calls_come_whole_and_reasoning_before_them(llm: Build, in_fragments: bool) -> None:
    calls = [
        Calls("x", '{"city":"Paris","n":1}', id="call_1", signature="c2ln"),
        Calls("x", '{"city":"","ok":true}', id="call_2"),
    ]
    pieces: list[Piece] = [Thinks("Let me "), Thinks("see."), "Well."]
    pieces += [replace(call, in_fragments=in_fragments) for call in calls]
    under_test = await llm(Says(pieces, finish=FinishReason.TOOL_CALLS))
    *events, reply = await events_of(under_test.client, WITH_TOOLS)
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    assert reasoning_of(events) == "Let me see."
    assert events.index("Well.") > max(
        n for n, event in enumerate(events) if isinstance(event, ReasoningDelta)
    )
    found = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in found] == [
        (call.id, call.name, call.arguments) for call in calls
    ]


async def test_what_was_called_goes_back_with_its_results(llm: Build) -> None:
    call = Calls("x", '{"city":"Paris"}', id="call_1", signature="c2ln")
    under_test = await llm(Says([call], finish=FinishReason.TOOL_CALLS), Says(["Sunny."]))
    found = [e for e in await events_of(under_test.client, WITH_TOOLS) if isinstance(e, ToolCall)]
    result = ToolResult(call_id="call_1", output="22C")
    answer = Message(role=Role.ASSISTANT, text="", items=tuple(found))
    after = Message(role=Role.USER, text="And?", items=(result, Text(text="And?")))
    prompt = replace(WITH_TOOLS, messages=(*PROMPT.messages, answer, after))
    assert text_of(await events_of(under_test.client, prompt)) == "Sunny."


async def test_an_answer_to_a_schema_is_text(llm: Build) -> None:
    under_test = await llm(Says(['{"city":', '"Paris"}']))
    schema = '{"type":"object","properties":{"city":{"const":"Paris"}}}'
    prompt = replace(PROMPT, response_format=ResponseFormat(schema=schema))
    assert text_of(await events_of(under_test.client, prompt)) == '{"city":"Paris"}'


async def test_usage_comes_as_the_provider_counted(llm: Build) -> None:
    under_test = await llm(Says(["4"], usage=USAGE), Says(["4"], usage=NO_USAGE))
    usage = USAGE if under_test.counts_reasoning else replace(USAGE, reasoning_tokens=None)
    assert (await events_of(under_test.client))[-1] == Reply(
        finish_reason=FinishReason.STOP, usage=usage
    )
    assert (await events_of(under_test.client))[-1] == Reply(finish_reason=FinishReason.STOP)


async def test_an_answer_that_grew_too_long_for_the_provider_is_an_answer(llm: Build) -> None:
    under_test = await llm(Says(["Once upon"], finish=FinishReason.LENGTH))
    pieces = await events_of(under_test.client)
    assert text_of(pieces) == "Once upon"
    assert isinstance(pieces[-1], Reply)
    assert (pieces[-1].finish_reason, pieces[-1].was_cut_at_limit) == (FinishReason.LENGTH, False)


async def test_thinking_that_ate_the_budget_is_an_empty_answer(llm: Build) -> None:
    under_test = await llm(Says([], finish=FinishReason.LENGTH))
    answering, reply = await events_of(under_test.client)
    assert isinstance(answering, ProviderSelected)
    assert isinstance(reply, Reply)
    assert reply.finish_reason is FinishReason.LENGTH


async def test_an_empty_answer_is_a_failure(llm: Build) -> None:
    under_test = await llm(*[Says([])] * AGAIN)
    text, error = await heard_until_failure(under_test.client)
    assert text == ""
    assert isinstance(error, LLMUnavailable)
    assert error.allows_fallback


async def test_a_blocked_prompt_is_refused_for_good(llm: Build) -> None:
    under_test = await llm(*[Blocks()] * AGAIN)
    text, error = await heard_until_failure(under_test.client)
    assert text == ""
    assert isinstance(error, ContentBlocked)
    assert not error.allows_fallback


async def test_a_block_after_some_text_is_how_the_answer_ended(llm: Build) -> None:
    under_test = await llm(Blocks(["To build it, "]))
    pieces = await events_of(under_test.client)
    assert text_of(pieces) == "To build it, "
    assert isinstance(pieces[-1], Reply)
    assert pieces[-1].finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize(
    "refuses",
    [
        *(Refuses(status) for status in (400, 404, 408, 413, 422, 500, 502, 503, 504, 529)),
        *(Refuses(status) for status in (402, 403)),
        Refuses(429),
        Refuses(429, retry_after_seconds=30),
        Refuses(503, retry_after_seconds=7),
        Refuses(400, reason="too long"),
        *(Refuses(status, reason="too long") for status in (413, 500)),
        *(Refuses(status, reason="rate limit") for status in (400, 413)),
        *(Refuses(status, reason="no model") for status in (400, 422, 500)),
    ],
    ids=lambda refuses: f"{refuses.status} {refuses.reason} {refuses.retry_after_seconds or ''}",
)
async def test_a_refusal_becomes_an_error_of_the_domain(llm: Build, refuses: Refuses) -> None:
    under_test = await llm(*[refuses] * AGAIN)
    text, error = await heard_until_failure(under_test.client)
    expected = expected_error(refuses)
    assert text == ""
    assert type(error) is type(expected)
    assert (error.http_status, error.retry_after_seconds) == (
        expected.http_status,
        expected.retry_after_seconds,
    )


@pytest.mark.seen("B10")
@pytest.mark.parametrize("max_output_tokens", [1, 65_536, None])
async def test_a_bound_on_output_is_taken(llm: Build, max_output_tokens: int | None) -> None:
    under_test = await llm(Says(["4"]))
    prompt = Prompt.from_text("2 + 2?", max_output_tokens=max_output_tokens)
    assert text_of(await events_of(under_test.client, prompt)) == "4"


@pytest.mark.parametrize("pieces", [[], ["The capital", " is"]], ids=["before", "after"])
async def test_a_connection_that_breaks_leaves_what_came(llm: Build, pieces: list[str]) -> None:
    under_test = await llm(*[Breaks(pieces)] * AGAIN)
    text, error = await heard_until_failure(under_test.client)
    assert text == "".join(pieces)
    assert isinstance(error, LLMUnavailable)
    assert error.connection_broke


async def test_a_failure_spoils_nothing_for_the_next_call(llm: Build) -> None:
    under_test = await llm(Refuses(400), Says(["still here"]))
    await heard_until_failure(under_test.client)
    assert text_of(await events_of(under_test.client)) == "still here"


async def test_closing_it_early_hangs_up_on_the_provider(llm: Build) -> None:
    under_test = await llm(Hangs(["The capital"]))
    async with aclosing(under_test.client.stream(PROMPT, a_chat_context())) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                break
    await under_test.until_hung_up()


@pytest.mark.parametrize("behaviour", [Hangs(), Hangs(["The capital"])], ids=["before", "after"])
async def test_cancelling_who_listens_hangs_up_on_the_provider(
    llm: Build, behaviour: Behaviour
) -> None:
    under_test = await llm(behaviour, Says(["next"]))
    has_begun = asyncio.Event()

    async def listen() -> None:
        async for piece in under_test.client.stream(PROMPT, a_chat_context()):
            if isinstance(piece, str) or behaviour == Hangs():
                has_begun.set()

    task = asyncio.create_task(listen())
    await has_begun.wait()
    await under_test.until_asked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await under_test.until_hung_up()
    assert text_of(await events_of(under_test.client)) == "next"

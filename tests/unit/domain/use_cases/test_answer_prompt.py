"""An answered prompt is in history, whatever became of it."""

import asyncio
from contextlib import aclosing, suppress

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import (
    ContentBlocked,
    HistoryNotDurable,
    HistoryUnavailable,
    LLMTimeout,
    LLMUnavailable,
    Overloaded,
)
from domain.use_cases.answer_prompt import AnswerPrompt
from infra.clock import SystemClock
from infra.ids import InteractionIds
from tests.fakes.history import InMemoryHistory
from tests.fakes.model import Step, SteppingLLM

CLOCK = SystemClock()
FIRST = ProviderSelected(provider="gemini", model="gemini-x")
OTHER = ProviderSelected(provider="openrouter", model="gpt-x")
END = Reply(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=4))


def a_chat_context(*, is_streamed: bool = False) -> ChatRequestContext:
    now = CLOCK.monotonic()
    return ChatRequestContext(
        id=InteractionIds(CLOCK)(),
        user_id="ana",
        model="gemini-x",
        started_seconds=now,
        first_text_deadline=Deadline(now + 59),
        answer_deadline=Deadline(now + 59),
        is_streamed=is_streamed,
    )


def parts(*steps: Step) -> tuple[AnswerPrompt, InMemoryHistory, SteppingLLM]:
    llm, history = SteppingLLM(*steps), InMemoryHistory()
    return AnswerPrompt(llm=llm, history=history, clock=CLOCK), history, llm


async def test_the_interaction_is_kept_before_it_is_told() -> None:
    answer, history, _ = parts(FIRST, "Hel", "lo", END)
    context = a_chat_context()
    heard = [piece async for piece in answer(context, Prompt.from_text("hi", model="alias"))]
    assert heard[:3] == [FIRST, "Hel", "lo"]
    told = heard[3]
    assert isinstance(told, Interaction)
    assert history.kept == {context.id: told}
    assert (told.text, told.status, told.finish_reason) == (
        "Hello",
        Status.COMPLETED,
        FinishReason.STOP,
    )
    assert (told.requested_model, told.model, told.provider) == ("alias", "gemini-x", "gemini")
    assert told.usage == END.usage
    assert not told.fallback_used
    assert told.time_to_first_token_seconds is not None


async def test_a_start_marker_is_left_before_the_model_is_asked() -> None:
    answer, history, _ = parts(LLMTimeout())
    context = a_chat_context()
    with pytest.raises(LLMTimeout):
        await anext(answer(context, Prompt.from_text("hi")))
    assert [(i.id, i.status) for i in history.begun] == [(context.id, Status.INTERRUPTED)]


async def test_nobody_is_asked_when_nothing_can_be_kept() -> None:
    answer, history, llm = parts(FIRST, "x", END)
    history.is_full = True
    with pytest.raises(HistoryUnavailable):
        await anext(answer(a_chat_context(), Prompt.from_text("hi")))
    assert llm.asked == []
    assert history.begun == []


async def test_who_takes_over_anew_replaces_the_text() -> None:
    answer, _, _ = parts(FIRST, "half a", OTHER, "whole", END)
    *_, told = [piece async for piece in answer(a_chat_context(), Prompt.from_text("hi"))]
    assert isinstance(told, Interaction)
    assert (told.text, told.model, told.fallback_used) == ("whole", "gpt-x", True)


async def test_who_continues_adds_to_the_text() -> None:
    going_on = ProviderSelected(provider="openrouter", model="gpt-x", continues=True)
    answer, _, _ = parts(FIRST, "half ", going_on, "and half", END)
    *_, told = [piece async for piece in answer(a_chat_context(), Prompt.from_text("hi"))]
    assert isinstance(told, Interaction)
    assert told.text == "half and half"


@pytest.mark.parametrize(
    ("steps", "status", "error", "text"),
    [
        ((FIRST, LLMTimeout()), Status.FAILED, "provider-timeout", ""),
        ((FIRST, "some", LLMUnavailable()), Status.TRUNCATED, "providers-failed", "some"),
        ((FIRST, ContentBlocked()), Status.BLOCKED, "content-blocked", ""),
        ((FIRST, Overloaded()), Status.FAILED, "overloaded", ""),
    ],
)
async def test_a_failure_is_kept_and_told(
    steps: tuple[Step, ...], status: Status, error: str, text: str
) -> None:
    answer, history, _ = parts(*steps)
    context = a_chat_context()
    with pytest.raises((LLMTimeout, LLMUnavailable, ContentBlocked, Overloaded)):
        async for _ in answer(context, Prompt.from_text("hi")):
            pass
    kept = history.kept[context.id]
    assert (kept.status, kept.error, kept.text) == (status, error, text)
    assert context.interaction == kept


async def test_a_block_after_text_is_an_answer() -> None:
    answer, _, _ = parts(FIRST, "some", Reply(finish_reason=FinishReason.CONTENT_FILTER))
    *_, told = [piece async for piece in answer(a_chat_context(), Prompt.from_text("hi"))]
    assert isinstance(told, Interaction)
    assert (told.status, told.text, told.is_answered) == (Status.BLOCKED, "some", True)


async def test_an_answer_we_cut_is_truncated() -> None:
    answer, _, _ = parts(
        FIRST, "x", Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)
    )
    *_, told = [piece async for piece in answer(a_chat_context(), Prompt.from_text("hi"))]
    assert isinstance(told, Interaction)
    assert (told.status, told.finish_reason) == (Status.TRUNCATED, FinishReason.LENGTH)


async def test_an_answer_that_cannot_be_kept_is_not_told() -> None:
    answer, history, _ = parts(FIRST, "x", END)
    history.refuses = 1
    heard: list[object] = []
    with pytest.raises(HistoryNotDurable):
        async for piece in answer(a_chat_context(), Prompt.from_text("hi")):
            heard.append(piece)
    assert heard == [FIRST, "x"]
    assert history.kept == {}


class HangingHistory(InMemoryHistory):
    """Never ends an append."""

    async def append(self, interaction: Interaction) -> None:
        await asyncio.Event().wait()


async def test_a_store_that_hangs_ends_the_request_at_its_deadline() -> None:
    history = HangingHistory()
    answer = AnswerPrompt(llm=SteppingLLM(FIRST, "x", END), history=history, clock=CLOCK)
    context = a_chat_context()
    context.answer_deadline = Deadline(context.started_seconds)  # one second is left for the store
    with pytest.raises(HistoryNotDurable) as caught:
        async for _ in answer(context, Prompt.from_text("hi")):
            pass
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert not context.is_stored


async def test_that_a_failure_cannot_be_kept_changes_nothing_for_the_caller() -> None:
    answer, history, _ = parts(LLMTimeout())
    history.refuses = 1
    context = a_chat_context()
    with pytest.raises(LLMTimeout):
        await anext(answer(context, Prompt.from_text("hi")))
    await answer.drain()
    assert history.kept[context.id].status is Status.FAILED  # the second try went through


async def test_who_leaves_hangs_up_and_leaves_the_partial_answer() -> None:
    answer, history, llm = parts(FIRST, "some", asyncio.Event(), "never", END)
    context = a_chat_context(is_streamed=True)
    async with aclosing(answer(context, Prompt.from_text("hi"))) as pieces:
        assert [await anext(pieces), await anext(pieces)] == [FIRST, "some"]
    assert llm.hung_up == 1
    await answer.drain()
    kept = history.kept[context.id]
    assert (kept.status, kept.text) == (Status.CLIENT_CANCELLED, "some")


async def test_a_cancelled_task_leaves_the_partial_answer_too() -> None:
    answer, history, llm = parts(FIRST, "some", asyncio.Event())
    context = a_chat_context(is_streamed=True)
    heard_text = asyncio.Event()

    async def listen() -> None:
        async with aclosing(answer(context, Prompt.from_text("hi"))) as pieces:
            async for piece in pieces:
                if piece == "some":
                    heard_text.set()

    listening = asyncio.create_task(listen())
    await heard_text.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await answer.drain()
    assert llm.hung_up == 1
    assert history.kept[context.id].status is Status.CLIENT_CANCELLED


async def test_a_stream_we_end_ourselves_is_truncated() -> None:
    answer, history, _ = parts(FIRST, "some", asyncio.Event())
    context = a_chat_context(is_streamed=True)
    async with aclosing(answer(context, Prompt.from_text("hi"))) as pieces:
        await anext(pieces)
        await anext(pieces)
        context.ended_by_shutdown = True
    await answer.drain()
    assert history.kept[context.id].status is Status.TRUNCATED


async def test_our_own_bug_is_recorded_as_failed() -> None:
    answer, history, _ = parts(FIRST, ZeroDivisionError())
    context = a_chat_context()
    with pytest.raises(ZeroDivisionError):
        async for _ in answer(context, Prompt.from_text("hi")):
            pass
    await answer.drain()
    assert (history.kept[context.id].status, history.kept[context.id].error) == (
        Status.FAILED,
        "internal",
    )


async def test_history_keeps_the_question_without_its_context() -> None:
    answer, history, _ = parts(FIRST, "x", END)
    context = a_chat_context()
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="one"),
            Message(role=Role.ASSISTANT, text="two"),
            Message(role=Role.USER, text="three"),
        ),
        system="be short",
    )
    async for _ in answer(context, prompt):
        pass
    assert history.kept[context.id].prompt == Prompt.from_text("three", system="be short")


def used(model: str, usage: Usage | None) -> Attempt:
    return Attempt(provider="p", model=model, outcome="any", seconds=1.0, usage=usage)


@pytest.mark.seen("A13")
@pytest.mark.parametrize(
    ("usages", "total"),
    [
        ([None], Usage(input_tokens=3, output_tokens=4)),
        ([Usage(total_tokens=9)], Usage(total_tokens=9)),
        ([None, Usage(input_tokens=9), None], Usage(input_tokens=9)),
        (
            [
                Usage(input_tokens=1, output_tokens=2, total_tokens=5, cost_usd=0.25),
                Usage(
                    input_tokens=10, cached_input_tokens=4, cache_write_tokens=5, reasoning_tokens=7
                ),
                Usage(input_tokens=100, output_tokens=20, cost_usd=0.5),
            ],
            Usage(
                input_tokens=111,
                output_tokens=22,
                reasoning_tokens=7,
                total_tokens=135,
                cached_input_tokens=4,
                cache_write_tokens=5,
                cost_usd=0.75,
            ),
        ),
    ],
)
async def test_what_is_kept_as_used_is_the_sum_over_all_attempts(
    usages: list[Usage | None], total: Usage
) -> None:
    for ending in (END, LLMUnavailable(), ContentBlocked()):
        answer, history, _ = parts(FIRST, ending)
        context = a_chat_context()
        context.attempts += [used(str(number), usage) for number, usage in enumerate(usages)]
        with suppress(LLMUnavailable, ContentBlocked):
            assert [piece async for piece in answer(context, Prompt.from_text("hi"))]
        expected = total if ending is END or any(usages) else Usage()
        assert history.kept[context.id].usage == expected

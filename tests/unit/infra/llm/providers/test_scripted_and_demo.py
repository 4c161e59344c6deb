"""The models that are none."""

import asyncio

import pytest

from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import NO_USAGE, FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import HistoryUnavailable, LLMRejected, LLMUnavailable
from domain.interfaces.llm_client import LLMClient
from infra.llm.providers.demo import DemoLLM
from infra.llm.providers.scripted import NOTICE, ScriptedLLM
from tests.fakes.chat_contexts import a_chat_context

PROMPT = Prompt.from_text("Hi")
WHO = ProviderSelected(provider="scripted", model="scripted")
STOPPED = Reply(finish_reason=FinishReason.STOP)


async def events_of(client: LLMClient, prompt: Prompt = PROMPT) -> list[object]:
    return [piece async for piece in client.stream(prompt, a_chat_context())]


async def test_the_script_is_played_in_order_then_it_says_what_it_is() -> None:
    model = ScriptedLLM("one", ("two", "", "three"))
    assert await events_of(model) == [WHO, "one", STOPPED]
    assert await events_of(model) == [WHO, "two", "three", STOPPED]
    assert await events_of(model) == [WHO, NOTICE, STOPPED]
    assert await events_of(model) == [WHO, NOTICE, STOPPED]
    assert model.asked == [PROMPT] * 4


async def test_a_script_may_fail_before_and_after_words() -> None:
    model = ScriptedLLM(LLMRejected(), ("a", LLMUnavailable()), HistoryUnavailable())
    for kind in (LLMRejected, LLMUnavailable, HistoryUnavailable):
        with pytest.raises(kind):
            await events_of(model)
    assert model.hung_up == 0


async def test_a_script_may_say_how_an_answer_ends_and_who_goes_on() -> None:
    reply = Reply(finish_reason=FinishReason.LENGTH, usage=Usage(total_tokens=3))
    other = ProviderSelected(provider="p", model="m", continues=True)
    assert await events_of(ScriptedLLM(("a", other, reply, "never"))) == [WHO, "a", other, reply]


async def test_who_hangs_up_is_counted() -> None:
    model = ScriptedLLM(("a", "b"), (asyncio.Event(),))
    pieces = model.stream(PROMPT, a_chat_context())
    await anext(pieces)
    await pieces.aclose()
    assert model.hung_up == 1
    task = asyncio.create_task(events_of(model))
    while len(model.asked) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.hung_up == 2


async def test_its_names_can_be_chosen() -> None:
    first, *_ = await events_of(ScriptedLLM(provider="p", model="m"))
    assert first == ProviderSelected(provider="p", model="m")


async def test_every_answer_of_the_demo_says_that_it_is_one_and_how_to_get_another() -> None:
    first, *texts, last = await events_of(DemoLLM(), Prompt.from_text("What is\na   cat?"))
    text = "".join(str(piece) for piece in texts)
    assert first == ProviderSelected(provider="demo", model="demo")
    assert len(texts) > 1
    assert "not a real LLM" in text
    assert "“What is a cat?”" in text
    assert "GEMINI_API_KEY" in text
    assert last == Reply(finish_reason=FinishReason.STOP, usage=NO_USAGE)


async def test_the_demo_does_not_repeat_a_long_question_whole() -> None:
    pieces = await events_of(DemoLLM(), Prompt.from_text("x" * 100_000))
    assert len("".join(piece for piece in pieces if isinstance(piece, str))) < 2000


async def test_the_demo_knows_of_earlier_turns() -> None:
    messages = tuple(
        Message(role=role, text="x") for role in (Role.USER, Role.ASSISTANT, Role.USER)
    )
    pieces = await events_of(DemoLLM(), Prompt(messages=messages))
    assert any("2 earlier messages" in piece for piece in pieces if isinstance(piece, str))

"""The check of answers that have to be JSON, and what follows from an answer that is not."""

from dataclasses import replace

import pytest

from domain.entities.prompt import Message, Role
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.entities.tools import ResponseFormat
from domain.exceptions import AnswerDoesNotFit
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience import json_schema
from infra.llm.resilience.json_answer import JsonAnswer
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    PROMPT,
    RouteHarness,
    falling_back,
    read_answer,
)
from tests.unit.infra.llm.resilience.parts import a_chat_context as a_context_at

ANY_OBJECT = replace(PROMPT, response_format=ResponseFormat())
NUMBERS = replace(PROMPT, response_format=ResponseFormat(schema='{"type": "array"}'))
OTHER = ProviderSelected(provider="p", model="b")


async def test_a_prompt_for_text_is_not_checked() -> None:
    answer = JsonAnswer(ScriptedLLM("Hello"), provider="p")
    events = [event async for event in answer.stream(PROMPT, a_chat_context())]
    assert "Hello" in events


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        (ANY_OBJECT, ('{"a": ', "1}")),
        (ANY_OBJECT, (" {} \n",)),
        (NUMBERS, ("[1]",)),
        (ANY_OBJECT, ("nonsense", OTHER, "{}")),
        (ANY_OBJECT, ("{", Reply(finish_reason=FinishReason.LENGTH))),
        (ANY_OBJECT, ("Sure.", Reply(finish_reason=FinishReason.TOOL_CALLS))),
        (ANY_OBJECT, ("I", Reply(finish_reason=FinishReason.CONTENT_FILTER))),
    ],
)
async def test_what_fits_or_is_not_whole_passes(prompt: object, pieces: tuple[str, ...]) -> None:
    answer = JsonAnswer(ScriptedLLM(pieces), provider="p")
    events = [event async for event in answer.stream(prompt, a_chat_context())]  # type: ignore[arg-type]
    assert isinstance(events[-1], Reply)


@pytest.mark.parametrize(
    "text", ["[]", "1", "null", "{}{}", "```json\n{}\n```", "NaN", "{", '{"a":1,}']
)
async def test_what_is_no_object_fails_after_its_text(text: str) -> None:
    answer = JsonAnswer(ScriptedLLM(text), provider="p")
    events: list[object] = []
    with pytest.raises(AnswerDoesNotFit):
        events += [event async for event in answer.stream(ANY_OBJECT, a_chat_context())]


async def test_a_continuation_is_checked_with_what_it_continues() -> None:
    begun = Message(role=Role.ASSISTANT, text='{"a": ')
    prompt = replace(ANY_OBJECT, messages=(*PROMPT.messages, begun))
    answer = JsonAnswer(ScriptedLLM("1}"), provider="p")
    events = [event async for event in answer.stream(prompt, a_chat_context())]
    assert isinstance(events[-1], Reply)


async def test_no_model_continues_an_answer_that_does_not_fit() -> None:
    clock = FakeClock()
    first = RouteHarness(clock, ["prose", AnswerDoesNotFit(http_status=200)], continues=True)
    second = RouteHarness(clock, "more", model="b", continues=True)
    context = a_context_at(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert isinstance(heard.error, AnswerDoesNotFit)
    assert heard.text == "prose"
    assert second.llm.asked == []


@pytest.mark.parametrize(("characters", "kept"), [(16_384, 1), (16_385, 0)])
def test_only_small_schemas_are_kept_compiled(characters: int, kept: int) -> None:
    begin, end = '{"type":"array","title":"', '"}'
    schema = begin + "x" * (characters - len(begin) - len(end)) + end
    before = json_schema._cached_validator.cache_info().misses
    for text, is_fit in (("[1]", True), ("{}", False)):
        assert json_schema.fits(text, ResponseFormat(schema=schema)) is is_fit
    assert json_schema._cached_validator.cache_info().misses == before + kept

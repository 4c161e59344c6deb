"""An answer that breaks off after words of it went out: gone on with exactly, or ended honestly."""

import pytest

from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
)
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.breaker_state import BreakerPolicy
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    DONE,
    PROMPT,
    RouteHarness,
    a_chat_context,
    falling_back,
    read_answer,
)

CUT = LLMUnavailable(connection_broke=True, http_status=200)
GARBLED = LLMUnavailable(http_status=200)
SILENT = LLMTimeout()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_the_same_model_goes_on_where_the_connection_broke(clock: FakeClock) -> None:
    harness = RouteHarness(clock, ["Once upon", " a ", CUT], ["time", "\n\n…"], continues=True)
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, harness), context)
    assert heard.text == "Once upon a time\n\n…"
    assert heard.voices == ["a", "+a"]
    assert heard.pieces[-1] == DONE
    assert harness.llm.asked[1].messages == (
        *PROMPT.messages,
        Message(role=Role.ASSISTANT, text="Once upon a "),
    )
    assert [attempt.outcome for attempt in context.attempts] == ["unavailable", "ok"]


@pytest.mark.parametrize("failure", [SILENT, GARBLED], ids=["silent", "garbled"])
async def test_after_silence_or_nonsense_the_next_model_goes_on(
    clock: FakeClock, failure: LLMError
) -> None:
    first = RouteHarness(clock, ["Once ", failure], "again", continues=True)
    second = RouteHarness(clock, "upon", model="b", continues=True)
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, heard.voices) == ("Once upon", ["a", "+b"])
    assert (first.calls, second.llm.asked[0].messages[-1].text) == (1, "Once ")
    assert [attempt.model for attempt in context.attempts] == ["a", "b"]


async def test_two_breaks_are_mended_by_the_same_and_then_the_next(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["one ", CUT], ["two ", CUT], "never", continues=True)
    second = RouteHarness(clock, "three", model="b", continues=True)
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, heard.voices) == ("one two three", ["a", "+a", "+b"])
    assert second.llm.asked[0].messages[-1].text == "one two "
    assert len(context.attempts) == 3


async def test_each_route_goes_on_once_and_the_one_to_spare_is_for_the_first(
    clock: FakeClock,
) -> None:
    harnesses = [
        RouteHarness(clock, *[["x", CUT]] * 5, model=model, provider=model, continues=True)
        for model in "abc"
    ]
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, *harnesses), context)
    assert (heard.text, heard.error) == ("xxxx", CUT)
    assert [attempt.model for attempt in context.attempts] == ["a", "a", "b", "c"]
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, *harnesses, attempts_per_turn=3), context)
    assert (heard.text, heard.error) == ("xxx", CUT)
    assert [attempt.model for attempt in context.attempts] == ["a", "b", "c"]


@pytest.mark.seen("A13")
async def test_both_parts_of_a_continued_answer_tell_what_they_used(clock: FakeClock) -> None:
    used, more = Usage(input_tokens=10, output_tokens=3), Usage(input_tokens=13, output_tokens=4)
    first = RouteHarness(clock, ["Once ", used, SILENT], continues=True)
    ending = Reply(finish_reason=FinishReason.STOP, usage=more)
    second = RouteHarness(clock, ["upon", ending], model="b", continues=True)
    context = a_chat_context(clock, is_streamed=True)
    assert (await read_answer(falling_back(clock, first, second), context)).text == "Once upon"
    assert [attempt.usage for attempt in context.attempts] == [used, more]


async def test_who_fell_in_before_the_first_word_goes_on_itself(clock: FakeClock) -> None:
    first = RouteHarness(clock, SILENT, continues=True)
    second = RouteHarness(clock, ["Once ", CUT], "upon", model="b", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert (heard.text, heard.voices, first.calls) == ("Once upon", ["a", "b", "+b"], 1)


@pytest.mark.parametrize("failure", [CUT, SILENT, GARBLED], ids=["cut", "silent", "garbled"])
async def test_a_model_that_cannot_is_never_sent_half_an_answer(
    clock: FakeClock, failure: LLMError
) -> None:
    first = RouteHarness(clock, ["Once ", failure], "no")
    second = RouteHarness(clock, "no", model="b")
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert (heard.text, heard.error) == ("Once ", failure)
    assert (first.calls, second.calls) == (1, 0)


async def test_models_that_cannot_are_passed_over(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["Once ", CUT])
    second = RouteHarness(clock, "no", model="b")
    third = RouteHarness(clock, "upon", model="c", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second, third), a_chat_context(clock, is_streamed=True)
    )
    assert (heard.text, heard.voices, second.calls) == ("Once upon", ["a", "+c"], 0)


async def test_without_leave_to_fall_back_only_the_same_model_goes_on(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["Once ", CUT], ["upon ", CUT], continues=True)
    second = RouteHarness(clock, "no", model="b", continues=True)
    context = a_chat_context(clock, is_streamed=True, may_fall_back=False)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, heard.error, second.calls) == ("Once upon ", CUT, 0)


async def test_a_prompt_that_ends_in_the_assistants_words_has_them_prolonged(
    clock: FakeClock,
) -> None:
    begun = Prompt(
        messages=(*PROMPT.messages, Message(role=Role.ASSISTANT, text="Because ")), stop=("!",)
    )
    harness = RouteHarness(clock, ["I ", CUT], "say so", continues=True)
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, harness), context, begun)
    assert heard.text == "I say so"
    assert harness.llm.asked[1].messages == (
        *PROMPT.messages,
        Message(role=Role.ASSISTANT, text="Because I "),
    )
    assert harness.llm.asked[1].stop == ("!",)


async def test_the_time_for_the_first_word_does_not_bound_the_later_ones(clock: FakeClock) -> None:
    left: list[float] = []

    class Slow(ScriptedLLM):
        async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            left.append(context.first_text_deadline.remaining_seconds(clock.monotonic()))
            async for piece in super().stream(prompt, context):
                yield piece
                clock.advance(100.0)

    harness = RouteHarness(clock, inner=Slow(["Once ", CUT], "upon"), continues=True)
    heard = await read_answer(falling_back(clock, harness), a_chat_context(clock, is_streamed=True))
    assert heard.text == "Once upon"
    assert left == [59.0, 400.0]


async def test_with_under_two_seconds_of_the_whole_left_the_stream_ends(clock: FakeClock) -> None:
    for whole_seconds, error in ((101.9, CUT), (102.1, None)):

        class Slow(ScriptedLLM):
            async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
                async for piece in super().stream(prompt, context):
                    if piece == "Once ":
                        clock.advance(100.0)
                    yield piece

        harness = RouteHarness(clock, inner=Slow(["Once ", CUT], "upon"), continues=True)
        context = a_chat_context(clock, is_streamed=True, whole_seconds=whole_seconds)
        heard = await read_answer(falling_back(clock, harness), context)
        assert heard.error is error


OUR_AFFAIR: list[LLMError] = [
    LLMRejected(http_status=400),
    ContextTooLong(http_status=400),
    LLMMisconfigured(http_status=404),
]


@pytest.mark.parametrize("failure", OUR_AFFAIR, ids=lambda e: e.outcome)
async def test_a_refused_continuation_is_no_fault_of_the_callers(
    clock: FakeClock, failure: LLMError
) -> None:
    first = RouteHarness(clock, ["Once ", SILENT])
    second = RouteHarness(clock, failure, model="b", continues=True)
    third = RouteHarness(clock, "upon", model="c", continues=True)
    chain = falling_back(clock, first, second, third)
    assert (await read_answer(chain, a_chat_context(clock, is_streamed=True))).text == "Once upon"
    first = RouteHarness(clock, ["Once ", SILENT])
    second = RouteHarness(clock, failure, model="b", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert (heard.text, heard.error) == ("Once ", SILENT)


async def test_what_a_provider_finds_fault_with_in_mid_answer_ends_it(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["Once ", LLMRejected(http_status=400)])
    second = RouteHarness(clock, "no", model="b", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert isinstance(heard.error, LLMUnavailable)
    assert (heard.error.http_status, second.calls) == (400, 0)


async def test_a_filter_that_stops_the_continuation_ends_the_answer_as_blocked(
    clock: FakeClock,
) -> None:
    first = RouteHarness(clock, ["Once ", CUT], ContentBlocked(), continues=True)
    second = RouteHarness(clock, "no", model="b", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert heard.error is None
    assert heard.text == "Once "
    assert heard.pieces[-1] == Reply(finish_reason=FinishReason.CONTENT_FILTER)
    assert second.calls == 0


async def test_a_closed_route_cannot_go_on_and_the_next_does(clock: FakeClock) -> None:
    opens_at_once = BreakerPolicy(consecutive_failures=1)
    first = RouteHarness(clock, ["Once ", CUT], "no", continues=True, breaker=opens_at_once)
    second = RouteHarness(clock, "upon", model="b", continues=True)
    context = a_chat_context(clock, is_streamed=True)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, first.calls) == ("Once upon", 1)
    assert [attempt.model for attempt in context.attempts] == ["a", "b"]


async def test_a_continuation_is_not_retried_by_itself(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["Once ", SILENT])
    second = RouteHarness(clock, LLMUnavailable(http_status=503), "no", model="b", continues=True)
    heard = await read_answer(
        falling_back(clock, first, second), a_chat_context(clock, is_streamed=True)
    )
    assert (second.calls, clock.slept) == (1, [])
    assert isinstance(heard.error, LLMUnavailable)

"""The events of an answer become an interaction, whichever way the answer ends."""

from dataclasses import replace

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import ContentBlocked, LLMTimeout, LLMUnavailable
from domain.use_cases.record_answer import AnswerRecorder, interrupted
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock

FIRST = ProviderSelected(provider="first", model="a-model")
OTHER = ProviderSelected(provider="other", model="b-model")
CONTINUING = ProviderSelected(provider="other", model="b-model", continues=True)
END = Reply(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=4))


def a_recorder(
    *events: ProviderSelected | str,
    context: ChatRequestContext | None = None,
    prompt: Prompt | None = None,
    clock: FakeClock | None = None,
) -> AnswerRecorder:
    recorder = AnswerRecorder(
        context or a_chat_context(), prompt or Prompt.from_text("hi"), clock or FakeClock()
    )
    for event in events:
        recorder.add(event)
    return recorder


def an_attempt(provider: str, usage: Usage | None = None) -> Attempt:
    model = f"{provider}-model"
    return Attempt(provider=provider, model=model, outcome="any", seconds=1.0, usage=usage)


def outcome(interaction: Interaction) -> tuple[Status, FinishReason | None, str | None, str]:
    return interaction.status, interaction.finish_reason, interaction.error, interaction.text


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (END, Status.COMPLETED),
        (Reply(finish_reason=FinishReason.LENGTH), Status.COMPLETED),
        (Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True), Status.TRUNCATED),
        (Reply(finish_reason=FinishReason.CONTENT_FILTER), Status.BLOCKED),
    ],
)
def test_an_answer_that_ended_has_the_status_of_its_end(reply: Reply, status: Status) -> None:
    interaction = a_recorder(FIRST, "Hel", "lo").completed(reply)
    assert outcome(interaction) == (status, reply.finish_reason, None, "Hello")
    assert interaction.usage == reply.usage


@pytest.mark.parametrize(
    ("events", "error", "expected"),
    [
        ((FIRST,), LLMTimeout(), (Status.FAILED, FinishReason.ERROR, "provider-timeout", "")),
        (
            (FIRST, "some"),
            LLMUnavailable(),
            (Status.TRUNCATED, FinishReason.ERROR, "providers-failed", "some"),
        ),
        (
            (FIRST,),
            ContentBlocked(),
            (Status.BLOCKED, FinishReason.CONTENT_FILTER, "content-blocked", ""),
        ),
    ],
)
def test_a_failure_keeps_the_text_so_far_and_the_code_of_the_error(
    events: tuple[ProviderSelected | str, ...],
    error: LLMTimeout | LLMUnavailable | ContentBlocked,
    expected: tuple[Status, FinishReason, str, str],
) -> None:
    assert outcome(a_recorder(*events).failed(error)) == expected


@pytest.mark.parametrize(
    ("is_streamed", "ended_by_shutdown", "expected"),
    [
        (True, False, (Status.CLIENT_CANCELLED, None, None, "some")),
        (True, True, (Status.TRUNCATED, FinishReason.ERROR, "overloaded", "some")),
        (False, True, (Status.TRUNCATED, FinishReason.ERROR, "overloaded", "some")),
        (False, False, (Status.TRUNCATED, FinishReason.ERROR, "overloaded", "some")),
    ],
)
def test_only_a_client_that_reads_a_stream_can_cancel_its_answer(
    is_streamed: bool,
    ended_by_shutdown: bool,
    expected: tuple[Status, FinishReason | None, str | None, str],
) -> None:
    context = a_chat_context(is_streamed=is_streamed)
    context.ended_by_shutdown = ended_by_shutdown
    assert outcome(a_recorder(FIRST, "some", context=context).cancelled()) == expected


@pytest.mark.parametrize(("text", "status"), [("", Status.FAILED), ("some", Status.TRUNCATED)])
def test_a_failure_of_this_service_is_internal(text: str, status: Status) -> None:
    events = (FIRST, text) if text else (FIRST,)
    expected = (status, FinishReason.ERROR, "internal", text)
    assert outcome(a_recorder(*events).failed_with()) == expected


@pytest.mark.parametrize(("following", "text"), [(OTHER, "b"), (CONTINUING, "ab")])
def test_text_of_an_earlier_provider_remains_only_if_the_next_continues_it(
    following: ProviderSelected, text: str
) -> None:
    interaction = a_recorder(FIRST, "a", following, "b").completed(END)
    assert interaction.text == text
    assert (interaction.provider, interaction.model) == ("other", "b-model")
    assert interaction.fallback_used


def test_times_are_measured_from_the_start_to_the_first_text_and_to_the_end() -> None:
    clock, context = FakeClock(), a_chat_context()
    recorder = a_recorder(context=context, clock=clock)
    for event in (FIRST, "a", "b"):
        clock.advance(0.5)
        recorder.add(event)
    clock.advance(0.25)
    interaction = recorder.completed(END)
    assert interaction.time_to_first_token_seconds == 1.0
    assert interaction.latency_seconds == 1.75
    assert context.llm_seconds == 1.75


@pytest.mark.parametrize(("following", "seconds"), [(OTHER, 2.0), (CONTINUING, 1.0)])
def test_the_first_text_is_that_of_the_stored_answer(
    following: ProviderSelected, seconds: float
) -> None:
    clock = FakeClock()
    recorder = a_recorder(FIRST, clock=clock)
    clock.advance(1.0)
    recorder.add("a")
    recorder.add(following)
    clock.advance(1.0)
    recorder.add("b")
    assert recorder.completed(END).time_to_first_token_seconds == seconds


def test_an_answer_without_text_has_no_time_to_first_token() -> None:
    assert a_recorder(FIRST).failed(LLMTimeout()).time_to_first_token_seconds is None


def test_the_prompt_is_recorded_without_the_turns_before_it() -> None:
    prompt = Prompt.from_text("now", model="alias").with_history(
        [Message(role=Role.USER, text="one"), Message(role=Role.ASSISTANT, text="1")]
    )
    interaction = a_recorder(FIRST, "a", prompt=prompt).completed(END)
    assert interaction.prompt == Prompt.from_text("now", model="alias")
    assert (interaction.requested_model, interaction.model) == ("alias", "a-model")
    assert not interaction.fallback_used


def test_the_end_is_put_into_the_context_and_a_state_in_between_is_not() -> None:
    context = a_chat_context()
    recorder = a_recorder(FIRST, context=context)
    between = recorder.interaction(Status.INTERRUPTED)
    assert (between.id, between.user_id, between.status) == (context.id, "ana", Status.INTERRUPTED)
    assert context.interaction is None
    assert recorder.completed(END) is context.interaction


def test_before_any_call_the_requested_model_is_recorded_without_a_provider() -> None:
    interaction = a_recorder().interaction(Status.INTERRUPTED)
    assert (interaction.model, interaction.provider) == ("a-model", None)


@pytest.mark.parametrize(
    ("events", "provider"), [((), "other"), ((FIRST,), "other"), ((FIRST, "some"), "first")]
)
def test_a_failure_names_the_provider_of_the_text_else_the_last_one_called(
    events: tuple[ProviderSelected | str, ...], provider: str
) -> None:
    context = a_chat_context()
    context.attempts += [an_attempt("first"), an_attempt("other")]
    interaction = a_recorder(*events, context=context).failed(LLMUnavailable())
    assert interaction.provider == provider
    assert interaction.attempts == (an_attempt("first"), an_attempt("other"))


def test_usage_is_the_sum_over_all_calls_that_reported_any() -> None:
    context = a_chat_context()
    usages = (Usage(input_tokens=1), None, Usage(input_tokens=10, output_tokens=5))
    context.attempts += [an_attempt("first", usage) for usage in usages]
    interaction = a_recorder(FIRST, "a", context=context).completed(END)
    assert interaction.usage == Usage(input_tokens=11, output_tokens=5)


@pytest.mark.parametrize(
    ("preferred", "expected"), [(None, True), ("b-model", False), ("c-model", True)]
)
def test_an_answer_of_the_first_choice_is_no_fallback(
    preferred: str | None, expected: bool
) -> None:
    context = a_chat_context()
    context.preferred_model = preferred
    assert a_recorder(OTHER, "Hi", context=context).completed(END).fallback_used is expected
    assert not a_recorder(context=context).failed(LLMTimeout()).fallback_used


def test_an_interrupted_request_is_recorded_as_it_was_when_it_came() -> None:
    prompt = Prompt.from_text("hi", system="Be short.", model="alias")
    context = replace(
        a_chat_context(),
        conversation_id="c",
        previous_id="p",
        metadata={"a": "b"},
        is_streamed=True,
    )
    at_start = a_recorder(context=context, prompt=prompt).interaction(Status.INTERRUPTED)
    context.attempts.append(an_attempt("first", Usage(input_tokens=3)))
    context.preferred_model = "b-model"
    assert interrupted(context, prompt) == at_start

"""An answer is written into its log as it comes, and its outcome is stored once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from domain.entities.background.log import Asked, Concluded, LogRecord, Restarted
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Status
from domain.entities.items import ProviderMetadata, ToolCall
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    AnswerEvent,
    AnswerProgress,
    FinishReason,
    MetadataReceived,
    ProviderSelected,
    ReasoningDelta,
    Reply,
)
from domain.exceptions import ContentBlocked, LLMTimeout, LLMUnavailable
from domain.use_cases.background.write_answer import OTHER_MODEL
from tests.fakes.background_answers import (
    CONTINUING,
    END,
    SELECTED,
    Installation,
    MakingProcess,
    until,
)
from tests.fakes.interactions import an_id
from tests.fakes.model import SteppingLLM

CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Pará"}')
MARK = MetadataReceived(metadata=ProviderMetadata(kind="k", family="f", value="v"), characters=2)
OTHER = ProviderSelected(provider="other", model="demo-2")


def an_attempt(outcome: str = "ok", provider: str = "scripted") -> Attempt:
    return Attempt(provider=provider, model="demo", outcome=outcome, seconds=1.0)


def records_before_the_outcome(installation: Installation) -> list[LogRecord]:
    """Return the records up to the outcome, and check that this is decided, and ends the log."""
    *records, concluded, end = installation.log_of().records
    assert concluded == Concluded(end)  # type: ignore[arg-type]
    assert installation.log_of().is_ended
    assert installation.outcome() == end
    return records


async def test_an_answer_is_in_its_log_and_in_history() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "Hel", "lo", END)
    await process.begin()
    assert installation.outcome().status is Status.IN_PROGRESS
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "Hello"]
    outcome = installation.outcome()
    assert (outcome.status, outcome.text, outcome.usage) == (Status.COMPLETED, "Hello", END.usage)
    assert (outcome.provider, outcome.model) == ("scripted", "demo")
    assert process.settled == process.contexts
    assert process.settled[0].interaction == outcome
    assert process.observer.seen[0] == "begun"
    assert process.observer.seen[-1] == Status.COMPLETED


async def test_what_comes_while_the_log_is_written_is_written_together() -> None:
    installation = Installation()
    first, second = asyncio.Event(), asyncio.Event()
    process = installation.process(
        SELECTED, "a", first, "b", "c", ReasoningDelta("d"), ReasoningDelta("e"), CALL, "f", END
    )
    process.log.blocked = second
    await process.begin()
    await until(lambda: process.llm.asked)
    first.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert installation.log_of().records == []
    second.set()
    await process.finished()
    (ended,) = installation.log_of().records[-1:]
    assert process.log.appends == [
        [Asked(SELECTED), SELECTED, "a"],
        ["bc", ReasoningDelta("de"), CALL, "f", Concluded(ended)],  # type: ignore[arg-type]
        [ended],
    ]


async def test_a_remote_log_is_written_after_a_pause() -> None:
    installation = Installation()
    may_end = asyncio.Event()
    process = installation.process(SELECTED, "a", may_end, END, pause_seconds=0.1)
    await process.begin()
    await until(lambda: len(process.log.appends) == 1)
    may_end.set()
    await process.finished()
    assert installation.clock.slept == [0.1]


async def test_an_end_is_not_delayed_by_a_pause() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END, pause_seconds=0.1)
    await process.begin()
    await process.finished()
    assert installation.clock.slept == []


async def test_the_provider_is_shown_with_its_first_word() -> None:
    installation = Installation()
    may_speak = asyncio.Event()
    process = installation.process(SELECTED, AnswerProgress(), may_speak, "a", END)
    await process.begin()
    await until(lambda: installation.log_of().records)
    assert installation.log_of().records == [Asked(SELECTED)]
    may_speak.set()
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "a"]


async def test_an_attempt_is_written_before_the_next_call_is() -> None:
    installation = Installation()
    failed = an_attempt("unavailable")
    ended = an_attempt("ok", "other")
    process = installation.process(SELECTED, failed, OTHER, "a", ended, END)
    await process.begin()
    await process.finished()
    assert records_before_the_outcome(installation) == [
        Asked(SELECTED),
        failed,
        Asked(OTHER),
        OTHER,
        "a",
        ended,
    ]
    assert installation.outcome().attempts == (failed, ended)


async def test_metadata_stays_in_its_place_among_the_texts() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "ab", MARK, "cd", END)
    await process.begin()
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "ab", MARK, "cd"]


async def test_another_model_after_reasoning_makes_void_what_was_shown() -> None:
    installation = Installation()
    process = installation.process(
        SELECTED, ReasoningDelta("hm"), OTHER, "a", Reply(finish_reason=FinishReason.STOP)
    )
    await process.begin()
    await process.finished()
    assert records_before_the_outcome(installation) == [
        Asked(SELECTED),
        SELECTED,
        ReasoningDelta("hm"),
        Asked(OTHER),
        Restarted(OTHER_MODEL),
        OTHER,
        "a",
    ]
    assert OTHER_MODEL in process.observer.seen
    assert installation.outcome().text == "a"


async def test_a_model_that_continues_changes_nothing_for_readers() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", CONTINUING, "b", END)
    await process.begin()
    await process.finished()
    assert installation.log_of().events[:-1] == [SELECTED, "a", "b"]
    assert installation.outcome().text == "ab"


@pytest.mark.parametrize(
    ("steps", "status", "error"),
    [
        ((LLMUnavailable(),), Status.FAILED, LLMUnavailable.code),
        ((SELECTED, "a", LLMTimeout()), Status.TRUNCATED, LLMTimeout.code),
        ((ContentBlocked(),), Status.BLOCKED, ContentBlocked.code),
    ],
)
async def test_a_failure_is_the_end_of_the_log(
    steps: tuple[object, ...], status: Status, error: str
) -> None:
    installation = Installation()
    process = installation.process(*steps)  # type: ignore[arg-type]
    await process.begin()
    await process.finished()
    records_before_the_outcome(installation)
    assert (installation.outcome().status, installation.outcome().error) == (status, error)


async def test_an_unexpected_failure_is_reported_and_ends_the_log() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.append(context["exception"])
    )
    installation = Installation()
    bug = ValueError("a bug")
    process = installation.process(SELECTED, "a", bug)
    await process.begin()
    await process.finished()
    records_before_the_outcome(installation)
    assert installation.outcome().status is Status.TRUNCATED
    assert reported == [bug]


async def test_a_log_that_fails_for_a_while_gets_everything_once() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", "b", END)
    process.log.failures = 4
    await process.begin()
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "ab"]
    assert installation.clock.slept == [0.1, 0.2, 0.4, 0.8]


async def test_a_confirmation_that_was_lost_adds_nothing_twice() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    await process.begin()
    process.log.losses = 2
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "a"]


async def test_a_history_that_fails_for_a_while_gets_the_outcome_before_the_end() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    await process.begin()
    installation.history.refuses = 3
    ends: list[Status] = []
    end = process.log.end

    async def noting_end(*arguments: object) -> None:
        ends.append(installation.outcome().status)
        await end(*arguments)  # type: ignore[arg-type]

    process.log.end = noting_end  # type: ignore[method-assign]
    await process.finished()
    assert ends == [Status.COMPLETED]
    records_before_the_outcome(installation)


async def test_a_stop_closes_the_call_and_keeps_the_text() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event(), "never")
    await process.begin()
    await until(lambda: installation.log_of().records)
    process.answers.stop(next(iter(installation.logs)))
    await process.finished()
    assert process.llm.hung_up == 1
    records_before_the_outcome(installation)
    outcome = installation.outcome()
    assert (outcome.status, outcome.text, outcome.error) == (Status.CLIENT_CANCELLED, "a", None)


async def test_a_stop_before_the_first_word_asks_no_model() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "never", END)
    await process.begin()
    process.answers.stop(next(iter(installation.logs)))
    await process.finished()
    assert process.llm.asked == []
    assert installation.outcome().status is Status.CLIENT_CANCELLED


async def test_what_came_before_a_stop_and_was_not_yet_written_is_kept() -> None:
    installation = Installation()
    may_write = asyncio.Event()
    process = installation.process(SELECTED, "a", asyncio.Event())
    process.log.blocked = may_write
    await process.begin()
    await until(lambda: process.llm.asked)
    process.answers.stop(next(iter(installation.logs)))
    may_write.set()
    await process.finished()
    assert installation.log_of().events[:-1] == [SELECTED, "a"]


async def test_a_lost_lease_closes_the_call_and_writes_nothing() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event(), "never")
    await process.begin()
    await until(lambda: installation.log_of().records)
    written = installation.log_of().records
    installation.log_of().epoch += 1
    await process.answers.watch()
    await process.finished()
    assert process.llm.hung_up == 1
    assert installation.log_of().records == written
    assert installation.outcome().status is Status.IN_PROGRESS


@pytest.mark.parametrize("is_known_before", [False, True])
async def test_a_lease_lost_while_the_log_is_away_ends_quietly(is_known_before: bool) -> None:
    installation = Installation()
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    may_go_on = asyncio.Event()
    process = installation.process(SELECTED, "a", may_go_on, "b", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    installation.log_of().epoch += 1
    if is_known_before:
        process.log.failures = 1_000_000
        may_go_on.set()
        await until(lambda: process.log.failures < 1_000_000)
        await process.answers.watch()
    else:
        process.log.failures = 2
        may_go_on.set()
    await process.finished()
    assert process.llm.hung_up == 1
    assert reported == []


async def test_a_lease_lost_while_history_is_away_ends_the_stopped_answer() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    installation.history.refuses = 1_000_000
    process.answers.stop(next(iter(installation.logs)))
    await until(lambda: installation.history.refuses < 1_000_000)
    installation.log_of().epoch += 1
    await process.answers.watch()
    await process.finished()
    assert not installation.log_of().is_ended


def is_given_up(process: MakingProcess, installation: Installation) -> bool:
    log = installation.log_of()
    return (
        log.was_given_up and log.lease_until_milliseconds <= process.log._clock.now_milliseconds()
    )


async def test_at_shutdown_what_came_is_written_and_the_lease_given_up() -> None:
    installation = Installation()
    may_write = asyncio.Event()
    process = installation.process(SELECTED, "a", asyncio.Event())
    process.log.blocked = may_write
    await process.begin()
    await until(lambda: process.llm.asked)
    process.answers.give_up()
    may_write.set()
    await process.finished()
    assert process.llm.hung_up == 1
    assert installation.log_of().events == [SELECTED, "a"]
    assert is_given_up(process, installation)
    assert installation.outcome().status is Status.IN_PROGRESS


@pytest.mark.parametrize("away", ["history", "log"])
async def test_at_shutdown_an_outcome_that_cannot_be_stored_is_left_to_the_next(away: str) -> None:
    installation = Installation()
    may_end = asyncio.Event()
    process = installation.process(SELECTED, "a", may_end, END)
    await process.begin()
    await until(lambda: installation.log_of().records)
    if away == "history":
        installation.history.refuses = 1_000_000
    else:
        process.log.failures = 1_000_000
    may_end.set()
    await until(lambda: installation.clock.slept)
    process.answers.give_up()
    process.log.failures = min(process.log.failures, 1)  # the last write fails, the lease is there
    await process.finished()
    assert is_given_up(process, installation)
    assert any(isinstance(record, Concluded) for record in installation.log_of().records)


async def test_an_answer_that_begins_during_the_shutdown_is_given_up_at_once() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "never", END)
    process.answers.give_up()
    await process.begin()
    await process.finished()
    assert process.llm.asked == []
    assert is_given_up(process, installation)


async def test_the_end_of_the_wait_at_shutdown_leaves_the_lease_to_run_out() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    process.log.blocked = asyncio.Event()
    process.answers._writers[next(iter(installation.logs))]._pending.append("late")
    await process.answers.drain(seconds=0.01)
    await process.finished()
    assert installation.log_of().events == [SELECTED, "a"]
    assert not installation.log_of().was_given_up
    assert process.llm.hung_up == 1


async def test_the_attempt_that_an_interruption_ends_is_written() -> None:
    class Hanging(SteppingLLM):
        async def stream(
            self, prompt: Prompt, context: ChatRequestContext
        ) -> AsyncGenerator[AnswerEvent, None]:
            try:
                async with aclosing(super().stream(prompt, context)) as events:
                    async for event in events:
                        yield event
            finally:
                await asyncio.sleep(0)
                context.attempts.append(an_attempt("cancelled"))

    installation = Installation()
    process = installation.process()
    process.answers.parts = replace(
        process.answers.parts, llm=Hanging(SELECTED, "a", asyncio.Event())
    )
    await process.begin()
    await until(lambda: installation.log_of().records)
    process.answers.give_up()
    await process.finished()
    assert installation.log_of().records[-1] == an_attempt("cancelled")
    assert installation.log_of().was_given_up


async def test_an_erased_answer_closes_the_call_and_leaves_nothing() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    await process.log.erase(next(iter(installation.logs)))
    await installation.history.erase("ana", an_id())
    await process.answers.watch()
    await process.finished()
    assert process.llm.hung_up == 1
    assert (installation.logs, installation.history.kept) == ({}, {})


async def test_nothing_is_lost_when_an_append_fails_while_the_answer_is_given_up() -> None:
    installation = Installation()
    more, blocked = asyncio.Event(), asyncio.Event()
    process = installation.process(SELECTED, "one ", more, "two ", more, "three ", asyncio.Event())
    await process.begin()
    await until(lambda: "one " in installation.log_of().records)
    process.log.blocked = blocked
    more.set()
    for _ in range(20):
        await asyncio.sleep(0)
    process.log.failures = 1
    process.answers.give_up()
    blocked.set()
    await process.finished()
    texts = [record for record in installation.log_of().records if isinstance(record, str)]
    assert "".join(texts) == "one two three "


async def test_a_complete_answer_is_not_left_to_another_process() -> None:
    installation = Installation()
    blocked = asyncio.Event()
    process = installation.process(SELECTED, "a", END)
    process.log.blocked = blocked
    await process.begin()
    await until(lambda: process.llm.asked)
    for _ in range(20):
        await asyncio.sleep(0)
    process.answers.give_up()
    blocked.set()
    await process.finished()
    assert records_before_the_outcome(installation) == [Asked(SELECTED), SELECTED, "a"]
    assert installation.outcome().status is Status.COMPLETED


async def test_a_complete_answer_whose_outcome_cannot_be_stored_is_left_with_it() -> None:
    installation = Installation()
    blocked = asyncio.Event()
    process = installation.process(SELECTED, "a", END)
    process.log.blocked = blocked
    await process.begin()
    await until(lambda: process.llm.asked)
    for _ in range(20):
        await asyncio.sleep(0)
    process.answers.give_up()
    installation.history.refuses = 1
    blocked.set()
    await process.finished()
    assert isinstance(installation.log_of().records[-1], Concluded)
    second = installation.process("never")
    await second.take_over()
    await second.finished()
    assert second.llm.asked == []
    assert installation.outcome().text == "a"

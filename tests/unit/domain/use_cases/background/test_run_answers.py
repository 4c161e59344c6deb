"""Answers are taken over from processes that died or gave up, and end once whatever happens."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import Asked, Concluded, Restarted
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.items import ProviderMetadata, Reasoning, Text, ToolCall
from domain.entities.reply import MetadataReceived, ProviderSelected, ReasoningDelta, Usage
from domain.exceptions import (
    AnswerWithdrawn,
    CannotContinue,
    DomainError,
    HistoryDamaged,
    HistoryUnavailable,
    HistoryUnreadable,
    LLMTimeout,
    Overloaded,
    UnknownModel,
)
from domain.interfaces.telemetry import LOST
from domain.use_cases.background.write_answer import CANNOT_CONTINUE
from tests.fakes.background_answers import (
    CONTINUING,
    END,
    SELECTED,
    Installation,
    MakingProcess,
    an_answer,
    until,
)
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.model import Step

LEASE_SECONDS = 10.0
KEY = AnswerKey(user_id="ana", interaction_id=an_id())
MARK = ProviderMetadata(kind="k", family="f", value="v")
CALL = ToolCall(id="call_1", name="weather", arguments="{}")


async def died_after(installation: Installation, *steps: Step, expects: int = 1) -> None:
    """Begin an answer in a process that dies once so many appends are stored; its lease runs out."""
    process = installation.process(*steps, asyncio.Event())
    await process.begin()
    await until(lambda: len(process.log.appends) >= expects and process.llm.asked)
    for _ in range(10):
        await asyncio.sleep(0)
    await ended_by_death(installation, process)


async def ended_by_death(installation: Installation, process: MakingProcess) -> None:
    process.die()
    await process.finished()
    installation.clock.advance(LEASE_SECONDS)


def events(installation: Installation) -> list[object]:
    return list(installation.log_of().events)


async def test_an_answer_that_was_not_begun_is_asked_anew() -> None:
    installation = Installation()
    await died_after(installation, expects=0)
    second = installation.process(SELECTED, "ab", END)
    await second.take_over()
    await second.finished()
    assert events(installation) == [SELECTED, "ab", installation.outcome()]
    assert installation.outcome().status is Status.COMPLETED
    assert second.contexts[0].text_so_far == ""
    assert second.settled == second.contexts
    assert second.observer.seen[0] == "taken over"


async def test_an_answer_with_text_is_continued_from_exactly_what_the_log_holds() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, ReasoningDelta("hm"), "Hel", "lo ")
    second = installation.process(CONTINUING, "world", END)
    await second.take_over()
    await second.finished()
    assert second.contexts[0].text_so_far == "Hello "
    outcome = installation.outcome()
    assert events(installation) == [SELECTED, ReasoningDelta("hm"), "Hello ", "world", outcome]
    assert (outcome.text, outcome.status) == ("Hello world", Status.COMPLETED)
    assert outcome.items == (Reasoning(text="hm"), Text(text="Hello world"))
    (lost,) = outcome.attempts
    assert (lost.provider, lost.model, lost.outcome) == ("scripted", "demo", LOST)
    assert lost.seconds == LEASE_SECONDS


async def test_an_answer_that_no_model_continues_begins_anew() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "Hel")
    second = installation.process()
    second.llm.in_turn = [(CannotContinue(),), (SELECTED, "Hello", END)]
    await second.take_over()
    await second.finished()
    outcome = installation.outcome()
    assert events(installation) == [
        SELECTED,
        "Hel",
        Restarted(CANNOT_CONTINUE),
        SELECTED,
        "Hello",
        outcome,
    ]
    assert outcome.text == "Hello"
    assert second.contexts[0].text_so_far == ""
    assert CANNOT_CONTINUE in second.observer.seen


@pytest.mark.parametrize("shown", [(ReasoningDelta("hm"),), ("Hel", CALL), (CALL,)])
async def test_reasoning_alone_and_calls_begin_anew(shown: tuple[Step, ...]) -> None:
    installation = Installation()
    await died_after(installation, SELECTED, *shown)
    second = installation.process(SELECTED, "Hello", END)
    await second.take_over()
    await second.finished()
    assert second.contexts[0].text_so_far == ""
    outcome = installation.outcome()
    assert events(installation) == [
        SELECTED,
        *shown,
        Restarted(CANNOT_CONTINUE),
        SELECTED,
        "Hello",
        outcome,
    ]
    assert outcome.items == ()


async def test_metadata_before_the_first_word_belongs_to_the_answer() -> None:
    """It is written before the event of its provider, which is shown with the first word."""
    installation = Installation()
    hidden = MetadataReceived(metadata=MARK, is_reasoning=True)
    await died_after(installation, SELECTED, hidden, "Hel")
    assert installation.log_of().records == [Asked(SELECTED), hidden, SELECTED, "Hel"]
    second = installation.process(CONTINUING, "lo", END)
    await second.take_over()
    await second.finished()
    assert installation.outcome().items == (Reasoning(text="", metadata=MARK), Text(text="Hello"))


async def test_each_attempt_that_was_lost_with_its_process_is_in_the_outcome() -> None:
    installation = Installation()
    failed = Attempt(provider="first", model="m", outcome="unavailable", seconds=1.0)
    other = ProviderSelected(provider="other", model="demo-2")
    await died_after(installation, SELECTED, failed, other, "a")
    second = installation.process(
        ProviderSelected(provider="third", model="demo-3", continues=True), "b", asyncio.Event()
    )
    await second.take_over()
    await until(lambda: "b" in events(installation))
    await ended_by_death(installation, second)
    third = installation.process(CONTINUING, "c", END)
    await third.take_over()
    await third.finished()
    outcome = installation.outcome()
    assert [(each.provider, each.outcome) for each in outcome.attempts] == [
        ("first", "unavailable"),
        ("other", LOST),
        ("third", LOST),
    ]
    assert outcome.text == "abc"
    assert (outcome.provider, outcome.model) == ("scripted", "demo")


async def test_an_answer_that_died_before_it_was_in_history_is_found_there_once_taken_over() -> (
    None
):
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    installation.history.kept.clear()
    second = installation.process(CONTINUING, asyncio.Event(), END)
    await second.take_over()
    await until(lambda: second.llm.asked)
    assert installation.outcome().status is Status.IN_PROGRESS
    second.die()
    await second.finished()


async def test_an_attempt_that_ended_is_not_lost() -> None:
    installation = Installation()
    cancelled = Attempt(provider="scripted", model="demo", outcome="cancelled", seconds=1.0)
    await died_after(installation, SELECTED, "a", cancelled, CONTINUING, "b")
    second = installation.process(CONTINUING, "c", END)
    await second.take_over()
    await second.finished()
    assert [each.outcome for each in installation.outcome().attempts] == ["cancelled", LOST]


async def test_an_attempt_that_a_shutdown_ended_is_not_lost() -> None:
    installation = Installation()
    cancelled = Attempt(provider="scripted", model="demo", outcome="cancelled", seconds=1.0)
    first = installation.process(SELECTED, "a", cancelled, asyncio.Event())
    await first.begin()
    await until(lambda: "a" in events(installation))
    await first.answers.drain(seconds=5.0)
    second = installation.process(CONTINUING, "b", END)
    await second.take_over()
    await second.finished()
    assert installation.outcome().attempts == (cancelled,)


async def test_what_was_void_before_a_death_stays_void() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "Hel")
    log = installation.log_of()
    log.chunks.append((1, [Restarted(CANNOT_CONTINUE)]))
    second = installation.process(SELECTED, "Hello", END)
    await second.take_over()
    await second.finished()
    assert second.contexts[0].text_so_far == ""
    restarted = [SELECTED, "Hel", Restarted(CANNOT_CONTINUE), SELECTED, "Hello"]
    assert events(installation) == [*restarted, installation.outcome()]


async def test_an_answer_that_began_anew_is_continued_from_there() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "Hel")
    second = installation.process()
    second.llm.in_turn = [(CannotContinue(),), (SELECTED, "Good ", asyncio.Event())]
    await second.take_over()
    await until(lambda: "Good " in events(installation))
    await ended_by_death(installation, second)
    third = installation.process(CONTINUING, "day", END)
    await third.take_over()
    await third.finished()
    assert third.contexts[0].text_so_far == "Good "
    assert installation.outcome().text == "Good day"


async def test_an_answer_is_made_by_one_of_many_processes() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    others = [installation.process(CONTINUING, "b", END) for _ in range(5)]
    await asyncio.gather(*(other.take_over() for other in others))
    for other in others:
        await other.finished()
    assert sum(len(other.llm.asked) for other in others) == 1
    assert installation.outcome().text == "ab"


async def test_a_lease_that_is_renewed_is_not_taken_over() -> None:
    installation = Installation()
    may_end = asyncio.Event()
    process = installation.process(SELECTED, "a", may_end, END)
    other = installation.process(SELECTED, "b", END)
    await process.begin()
    for _ in range(20):
        installation.clock.advance(3.0)
        await process.answers.watch()
        await other.take_over()
    assert other.llm.asked == []
    may_end.set()
    await process.finished()
    assert installation.outcome().text == "a"


async def test_a_lease_is_renewed_when_it_is_due_and_looked_at_in_between() -> None:
    installation = Installation()
    process = installation.process(SELECTED, asyncio.Event())
    await process.begin()
    until_milliseconds: set[int] = set()
    for _ in range(10):
        installation.clock.advance(0.6)
        await process.answers.watch()
        until_milliseconds.add(installation.log_of().lease_until_milliseconds)
    assert len(until_milliseconds) == 2
    process.die()
    await process.finished()


async def test_a_process_that_was_suspended_does_not_take_over_its_own_answer() -> None:
    installation = Installation()
    may_end = asyncio.Event()
    process = installation.process(SELECTED, "a", may_end, "b", END)
    await process.begin()
    await until(lambda: installation.log_of().records)
    installation.clock.advance(5 * LEASE_SECONDS)
    await process.take_over()
    await process.answers.watch()
    may_end.set()
    await process.finished()
    assert len(process.llm.asked) == 1
    assert events(installation) == [SELECTED, "a", "b", installation.outcome()]
    assert installation.log_of().epoch == 1


async def test_a_process_that_was_suspended_writes_nothing_once_another_one_goes_on() -> None:
    installation = Installation()
    may_go_on = asyncio.Event()
    first = installation.process(SELECTED, "a", may_go_on, "of the old lease", END)
    await first.begin()
    await until(lambda: installation.log_of().records)
    installation.clock.advance(LEASE_SECONDS)
    second = installation.process(CONTINUING, "b", END)
    await second.take_over()
    may_go_on.set()
    await first.finished()
    await second.finished()
    assert events(installation) == [SELECTED, "a", "b", installation.outcome()]
    assert installation.outcome().text == "ab"


async def test_a_lease_that_was_given_up_is_no_takeover_of_the_dead() -> None:
    installation = Installation()
    for number in range(10):
        step = SELECTED if number == 0 else CONTINUING
        process = installation.process(step, str(number), asyncio.Event(), takeovers=0)
        if number == 0:
            await process.begin()
        else:
            await process.take_over()
        await until(lambda number=number: str(number) in events(installation))
        await process.answers.drain(seconds=5.0)
    last = installation.process(CONTINUING, "end", END, takeovers=0)
    await last.take_over()
    await last.finished()
    assert installation.outcome().text == "0123456789end"
    assert installation.outcome().status is Status.COMPLETED


@pytest.mark.parametrize("is_erased", [True, False])
async def test_an_answer_whose_lease_is_lost_is_settled_with_what_it_used(is_erased: bool) -> None:
    installation = Installation()
    used = Attempt(
        provider="scripted", model="demo", outcome="ok", seconds=1.0, usage=Usage(total_tokens=7)
    )
    process = installation.process(used, SELECTED, "abc", asyncio.Event())
    await process.begin()
    await until(lambda: "abc" in events(installation))
    if is_erased:
        await process.log.erase(KEY)
    else:
        installation.log_of().epoch += 1
    await process.answers.watch()
    await process.finished()
    (context,) = process.settled
    assert context.interaction is not None
    assert (context.interaction.text, context.interaction.usage.total_tokens) == ("abc", 7)


@pytest.mark.parametrize("is_away", [True, False])
async def test_only_an_answer_whose_events_are_in_the_log_is_settled_as_handed_over(
    is_away: bool,
) -> None:
    installation = Installation()
    process = installation.process(SELECTED, "abc", asyncio.Event())
    await process.begin()
    await until(lambda: "abc" in events(installation))
    process.contexts[0].attempts.append(
        Attempt(provider="scripted", model="demo", outcome="cancelled", seconds=1.0)
    )
    process.log.is_away = is_away
    process.answers.give_up()
    await process.finished()
    (context,) = process.settled
    assert context.interaction is None
    assert context.is_handed_over is not is_away


@pytest.mark.parametrize(("text", "status"), [("a", Status.TRUNCATED), (None, Status.FAILED)])
async def test_after_too_many_deaths_an_answer_ends_with_what_there_is(
    text: str | None, status: Status
) -> None:
    installation = Installation()
    shown = () if text is None else (SELECTED, text)
    await died_after(installation, *shown, expects=len(shown[:1]))
    for _ in range(2):
        process = installation.process(asyncio.Event(), takeovers=2)
        await process.take_over()
        await until(lambda process=process: process.llm.asked)
        await ended_by_death(installation, process)
    last = installation.process("never", takeovers=2)
    await last.take_over()
    await last.finished()
    assert last.llm.asked == []
    outcome = installation.outcome()
    assert (outcome.status, outcome.text, outcome.error) == (status, text or "", DomainError.code)
    assert installation.log_of().is_ended


async def test_an_answer_that_is_out_of_time_ends_without_a_call() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    installation.clock.advance(90.0)
    second = installation.process("never", total_seconds=100.0)
    await second.take_over()
    await second.finished()
    assert second.llm.asked == []
    outcome = installation.outcome()
    assert (outcome.status, outcome.error) == (Status.TRUNCATED, LLMTimeout.code)


async def test_the_deadline_of_an_answer_counts_from_its_receipt() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process(CONTINUING, "b", END, total_seconds=100.0)
    await second.take_over()
    await second.finished()
    (context,) = second.contexts
    assert context.answer_deadline.remaining_seconds(installation.clock.seconds) == 90.0


async def test_an_answer_that_was_stopped_while_no_process_made_it_ends_at_its_takeover() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    assert await installation.process().log.stop(KEY)
    second = installation.process("never")
    await second.take_over()
    await second.finished()
    assert second.llm.asked == []
    outcome = installation.outcome()
    assert (outcome.status, outcome.text) == (Status.CLIENT_CANCELLED, "a")


async def test_a_stop_in_another_process_is_seen_by_the_next_look() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    await process.begin()
    await until(lambda: installation.log_of().records)
    await installation.process().log.stop(KEY)
    await process.answers.watch()
    await process.finished()
    assert installation.outcome().status is Status.CLIENT_CANCELLED


@pytest.mark.parametrize("moment", ["concluded", "in history"])
async def test_an_outcome_that_was_decided_is_kept_by_the_next_process(moment: str) -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    log = installation.log_of()
    decided = replace(
        an_interaction(text="a", status=Status.TRUNCATED, error="timeout"),
        prompt=log.answer.interaction.prompt,
    )
    log.chunks.append((1, [Concluded(decided)]))
    if moment == "in history":
        await installation.history.append(decided)
    log.is_stopped = True  # too late
    second = installation.process("never")
    await second.take_over()
    await second.finished()
    assert second.llm.asked == []
    assert installation.outcome() == decided
    assert events(installation) == [SELECTED, "a", decided]


@pytest.mark.parametrize("failure", [HistoryUnreadable(), HistoryUnavailable()])
async def test_a_context_that_cannot_be_read_for_a_while_is_waited_for(failure: Exception) -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process(CONTINUING, "b", END)
    second.prepare_failures = [failure] * 6
    before = len(installation.clock.slept)
    await second.take_over()
    await second.finished()
    assert installation.outcome().text == "ab"
    assert installation.clock.slept[before:] == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


async def test_a_context_is_waited_for_as_long_as_the_answer_may_take() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process("never", total_seconds=60.0)
    second.prepare_failures = [HistoryUnreadable()] * 1000
    await second.take_over()
    await second.finished()
    outcome = installation.outcome()
    assert (outcome.status, outcome.error) == (Status.TRUNCATED, LLMTimeout.code)
    assert installation.clock.seconds < 1_000.0 + 60.0 + 3.0


@pytest.mark.parametrize("failure", [UnknownModel(("demo",)), HistoryDamaged()])
async def test_an_answer_that_cannot_be_made_any_more_fails(failure: DomainError) -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process("never")
    second.prepare_failures = [failure]
    await second.take_over()
    await second.finished()
    outcome = installation.outcome()
    assert (outcome.status, outcome.error, outcome.text) == (Status.TRUNCATED, failure.code, "a")


@pytest.mark.parametrize("ending", ["stop", "give up", "lose"])
async def test_an_interruption_while_the_context_is_read_ends_the_reading(ending: str) -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process("never")
    reading = asyncio.Event()

    async def prepare(*_: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    await second.answers.take_over(prepare)  # type: ignore[arg-type]
    await reading.wait()
    if ending == "stop":
        second.answers.stop(KEY)
    elif ending == "give up":
        second.answers.give_up()
    else:
        installation.log_of().epoch += 1
        await second.answers.watch()
    await second.finished()
    log = installation.log_of()
    assert log.is_ended == (ending == "stop")
    assert log.was_given_up == (ending == "give up")
    expected = Status.CLIENT_CANCELLED if ending == "stop" else Status.IN_PROGRESS
    assert installation.outcome().status is expected


async def test_a_process_takes_no_more_than_it_may_make_and_counts_the_others() -> None:
    installation = Installation()
    dead = installation.process(SELECTED, "a", asyncio.Event())
    for number in range(5):
        await dead.begin(number)
    await ended_by_death(installation, dead)
    second = installation.process(SELECTED, asyncio.Event(), answers=3)
    await second.take_over()
    assert (second.answers.running, second.answers.waiting) == (3, 2)
    with pytest.raises(Overloaded):
        await second.begin(7)
    assert second.settled == second.contexts[-1:]
    await second.answers.drain(seconds=5.0)
    third = installation.process(SELECTED, "b", END)
    await third.take_over()
    await third.finished()
    assert third.answers.waiting == 0
    assert all(installation.outcome(number).text == "b" for number in range(5))


async def test_a_process_that_stops_takes_nothing_over() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process("never")
    second.answers.give_up()
    await second.take_over()
    assert second.answers.running == 0
    assert installation.log_of().epoch == 1


async def test_a_log_that_cannot_be_read_does_not_keep_others_waiting() -> None:
    installation = Installation()
    dead = installation.process(SELECTED, "a", asyncio.Event())
    for number in range(3):
        await dead.begin(number)
    await ended_by_death(installation, dead)
    installation.log_of(0).is_damaged = True
    second = installation.process(SELECTED, "b", END)
    await second.take_over()
    await second.finished()
    assert [installation.outcome(number).status for number in range(3)] == [
        Status.IN_PROGRESS,
        Status.COMPLETED,
        Status.COMPLETED,
    ]


async def test_logs_that_cannot_be_read_do_not_hide_a_later_one() -> None:
    installation = Installation()
    dead = installation.process(SELECTED, "a", asyncio.Event())
    for number in range(25):
        await dead.begin(number)
    installation.clock.advance(1.0)
    await dead.begin(25)
    await ended_by_death(installation, dead)
    for number in range(25):
        installation.log_of(number).is_damaged = True
    second = installation.process(SELECTED, "b", END)
    await second.take_over()
    await second.finished()
    assert installation.outcome(25).status is Status.COMPLETED
    epochs = [installation.log_of(number).epoch for number in range(25)]
    await second.take_over()
    assert [installation.log_of(number).epoch for number in range(25)] == epochs


async def test_a_log_that_is_away_is_looked_at_again() -> None:
    installation = Installation()
    await died_after(installation, SELECTED, "a")
    second = installation.process(CONTINUING, "b", END)
    second.log.is_away = True
    await second.take_over()
    second.log.is_away = False
    await second.take_over()
    await second.finished()
    assert installation.outcome().text == "ab"


async def test_a_watch_that_fails_interrupts_nothing() -> None:
    installation = Installation()
    may_end = asyncio.Event()
    process = installation.process(SELECTED, "a", may_end, END)
    await process.begin()
    process.log.is_away = True
    for _ in range(3):
        installation.clock.advance(3.0)
        await process.answers.watch()
    process.log.is_away = False
    may_end.set()
    await process.finished()
    assert installation.outcome().status is Status.COMPLETED


@pytest.mark.parametrize("fails", ["full", "log", "confirmation", "history"])
async def test_an_answer_that_is_not_accepted_leaves_nothing_that_goes_on(fails: str) -> None:
    installation = Installation()
    process = installation.process("never")
    installation.history.is_full = fails == "full"
    installation.history.refuses = fails == "history"
    process.log.losses = fails == "confirmation"
    begin = process.log.begin

    async def failing_begin(*_: object, **__: object) -> None:
        raise HistoryUnavailable

    if fails == "log":
        process.log.begin = failing_begin  # type: ignore[assignment, method-assign]
    with pytest.raises(HistoryUnavailable):
        await process.begin()
    await process.finished()
    assert installation.logs == {}
    # its row may be stored although that was not confirmed: then nothing else would give it an outcome
    assert set(installation.history.kept) == ({an_id(0)} if fails == "history" else set())
    assert process.settled == process.contexts
    process.log.begin = begin  # type: ignore[method-assign]


async def test_a_call_that_began_before_history_failed_is_closed() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event(), "never")
    append = installation.history.append

    async def failing_append(interaction: Interaction) -> None:
        await until(lambda: installation.log_of().events)
        raise HistoryUnavailable

    installation.history.append = failing_append  # type: ignore[method-assign]
    with pytest.raises(HistoryUnavailable):
        await process.begin()
    await process.finished()
    assert process.llm.hung_up == 1
    assert installation.logs == {}
    assert process.settled == process.contexts
    assert process.observer.seen == ["written"]
    installation.history.append = append  # type: ignore[method-assign]


async def test_the_provider_is_asked_while_the_interaction_goes_into_history() -> None:
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    append = installation.history.append

    async def slow_append(interaction: Interaction) -> None:
        if interaction.status is Status.IN_PROGRESS:
            await until(lambda: installation.log_of().is_ended)
        await append(interaction)

    installation.history.append = slow_append  # type: ignore[method-assign]
    await process.begin()
    assert installation.outcome().status is Status.COMPLETED


async def test_an_answer_whose_log_cannot_be_removed_reports_why_it_was_not_accepted() -> None:
    installation = Installation()
    process = installation.process("never")
    installation.history.refuses = 1

    async def erase(_: object) -> None:
        raise HistoryUnreadable

    process.log.erase = erase  # type: ignore[assignment, method-assign]
    with pytest.raises(HistoryUnavailable) as raised:
        await process.begin()
    assert not isinstance(raised.value, AnswerWithdrawn)


async def test_an_answer_whose_log_cannot_be_removed_gets_its_outcome_from_the_next_process() -> (
    None
):
    installation = Installation()
    process = installation.process("never", lease_seconds=5.0)
    installation.history.refuses = 1

    async def erase(_: object) -> None:
        raise HistoryUnavailable

    process.log.erase = erase  # type: ignore[assignment, method-assign]
    with pytest.raises(HistoryUnavailable):
        await process.begin()
    await process.finished()
    assert installation.history.kept == {}
    installation.clock.advance(5.0)
    second = installation.process(SELECTED, "b", END)
    await second.take_over()
    await second.finished()
    assert (installation.outcome().status, installation.outcome().text) == (Status.COMPLETED, "b")


async def test_an_answer_whose_log_was_erased_is_not_begun_again() -> None:
    installation = Installation()
    process = installation.process("never")
    process.log.losses = 1
    for _ in range(2):
        with pytest.raises(AnswerWithdrawn):
            await process.begin()
        await process.finished()
    assert installation.logs == {}
    outcome = installation.outcome()
    assert (outcome.status, outcome.error) == (Status.FAILED, HistoryUnavailable.code)


async def test_an_answer_that_exists_is_not_said_to_go_on_while_its_log_cannot_be_read() -> None:
    installation = Installation()
    first = installation.process(SELECTED, "a", asyncio.Event())
    await first.begin()
    repeated = installation.process("never")

    async def read(*_: object, **__: object) -> None:
        raise HistoryUnreadable

    repeated.log.read = read  # type: ignore[assignment, method-assign]
    with pytest.raises(HistoryUnavailable) as raised:
        await repeated.begin()
    assert not isinstance(raised.value, AnswerWithdrawn)
    await repeated.finished()
    assert installation.outcome().status is Status.IN_PROGRESS
    first.die()
    await first.finished()


async def test_the_model_is_called_while_the_log_becomes_durable_and_nothing_is_written_before() -> (
    None
):
    installation = Installation()
    process = installation.process(SELECTED, "a", END)
    begin, is_durable = process.log.begin, asyncio.Event()

    async def slow_begin(answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        await is_durable.wait()
        return await begin(answer, lease_seconds=lease_seconds)

    process.log.begin = slow_begin  # type: ignore[method-assign]
    beginning = asyncio.create_task(process.begin())
    await until(lambda: process.llm.asked)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (installation.logs, process.observer.seen) == ({}, [])
    is_durable.set()
    await beginning
    await process.finished()
    assert installation.outcome().text == "a"


async def test_a_call_for_an_answer_whose_log_cannot_begin_is_closed_and_nothing_is_written() -> (
    None
):
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())

    async def refuse(*_: object, **__: object) -> AnswerLease:
        await until(lambda: process.llm.asked)
        raise HistoryUnavailable

    process.log.begin = refuse  # type: ignore[method-assign]
    with pytest.raises(HistoryUnavailable):
        await process.begin()
    await process.finished()
    assert (installation.logs, installation.history.kept) == ({}, {})
    assert len(process.settled) == 1


async def test_an_answer_that_exists_goes_on_instead_of_another_one() -> None:
    """A request that is repeated after its process died before the answer was in history."""
    installation = Installation()
    may_end = asyncio.Event()
    first = installation.process(SELECTED, "a", may_end, END)
    await first.begin()
    del installation.history.kept[an_id(0)]
    repeated = installation.process("never")
    await repeated.begin()
    assert installation.outcome().status is Status.IN_PROGRESS
    assert repeated.llm.asked == []
    assert len(repeated.settled) == 1
    may_end.set()
    await first.finished()
    assert installation.outcome().text == "a"


async def test_all_that_were_left_are_taken_over_at_once() -> None:
    installation = Installation()
    first = installation.process(SELECTED, "a", asyncio.Event())
    for number in range(35):
        await first.begin(number)
    first.answers.give_up()
    await first.finished()
    second = installation.process(SELECTED, "b", END)
    await second.take_over()
    await second.finished()
    assert {installation.outcome(number).text for number in range(35)} == {"b"}


async def test_an_answer_that_was_refused_gets_an_outcome() -> None:
    """Its row may be stored although that was not confirmed."""
    installation = Installation()
    process = installation.process(SELECTED, "a", asyncio.Event())
    installation.history.refuses = 1
    with pytest.raises(HistoryUnavailable):
        await process.begin()
    await process.finished()
    outcome = installation.outcome()
    assert (outcome.status, outcome.error) == (Status.FAILED, HistoryUnavailable.code)
    assert installation.logs == {}


async def test_the_context_of_an_answer_of_another_process_is_that_of_its_request() -> None:
    installation = Installation()
    answer = an_answer(
        3,
        conversation_id="c",
        previous_id=an_id(1),
        metadata={"k": "v"},
        model="demo-2",
    )
    installation.clock.advance(5.0)
    answers = installation.process(total_seconds=100.0, silence_seconds=7.0).answers
    context = answers.context_of(answer)
    assert (context.id, context.user_id, context.model) == (an_id(3), "ana", "demo-2")
    assert (context.conversation_id, context.previous_id) == ("c", an_id(1))
    assert (context.metadata, context.is_streamed, context.is_background) == (
        {"k": "v"},
        True,
        True,
    )
    assert context.longest_silence_seconds == 7.0
    assert context.started_seconds == pytest.approx(1_000.0, abs=0.01)


def _dies(process: MakingProcess) -> None:
    process.die()


def _gives_up(process: MakingProcess) -> None:
    process.answers.give_up()


def _loses_writes(process: MakingProcess) -> None:
    process.log.failures += 2


def _loses_confirmations(process: MakingProcess) -> None:
    process.log.losses += 2


@pytest.mark.parametrize("seed", range(100))
async def test_an_answer_that_is_interrupted_at_any_moment_ends_with_its_whole_text(
    seed: int,
) -> None:
    """Each model goes on from the text it is given, so the whole is the same whatever happens in between."""
    chance = random.Random(seed)
    installation = Installation()
    whole = "0123456789"
    ends: list[Callable[[MakingProcess], None]] = [
        _dies,
        _gives_up,
        _loses_writes,
        _loses_confirmations,
    ]
    process = installation.process(takeovers=1_000, pause_seconds=chance.choice([0.0, 0.1]))
    process.llm.in_turn = [(SELECTED, *whole, END)]
    await process.begin()
    for _ in range(20):
        for _ in range(chance.randrange(25)):
            await asyncio.sleep(0)
        chance.choice(ends)(process)
        await process.finished()
        if installation.log_of().is_ended:
            break
        installation.clock.advance(LEASE_SECONDS)
        process = installation.process(takeovers=1_000, pause_seconds=chance.choice([0.0, 0.1]))
        text = "".join(event for event in events(installation) if isinstance(event, str))
        selected = CONTINUING if text else SELECTED
        process.llm.in_turn = [(selected, *whole[len(text) :], END)]
        await process.take_over()
    last = installation.process(takeovers=1_000)
    text = "".join(event for event in events(installation) if isinstance(event, str))
    last.llm.in_turn = [(CONTINUING if text else SELECTED, *whole[len(text) :], END)]
    await last.take_over()
    await last.finished()
    outcome = installation.outcome()
    texts = [event for event in events(installation) if isinstance(event, str)]
    assert ("".join(texts), outcome.text) == (whole, whole)
    assert outcome.status is Status.COMPLETED
    assert events(installation)[-1] == outcome
    assert not any(isinstance(event, Restarted) for event in events(installation))

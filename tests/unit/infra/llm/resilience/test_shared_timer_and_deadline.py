"""Silence is bounded, and only silence.

The timers are those of the event loop, so limits are real and short. Where a late wake-up of some 40 ms changes the
outcome, the test is marked `realtime`; elsewhere lateness only makes a test slower.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import ProviderSelected, Reply
from domain.exceptions import LLMRejected, LLMTimeout, LLMUnavailable
from domain.interfaces.llm_client import LLMClient
from domain.timing.shared_timer import SharedTimer, Timeout
from infra.clock import SystemClock
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.deadline import Deadline
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock

PROMPT = Prompt.from_text("Hi")
SHORT = 0.04
LONG = 30.0
"""What would be noticed: every test ends within a few times `SHORT`."""


def bounded(
    inner: LLMClient,
    *,
    first_token_seconds: float = LONG,
    first_token_share: float = 1.0,
    min_attempt_seconds: float = 0.0,
    idle_seconds: float = LONG,
) -> Deadline:
    return Deadline(
        inner,
        clock=SystemClock(),
        first_token_seconds=first_token_seconds,
        first_token_share=first_token_share,
        min_attempt_seconds=min_attempt_seconds,
        idle_seconds=idle_seconds,
    )


async def events_of(client: LLMClient, context: ChatRequestContext) -> list[object]:
    async with asyncio.timeout(LONG / 3):
        return [piece async for piece in client.stream(PROMPT, context)]


async def timeout_of(client: LLMClient, context: ChatRequestContext) -> tuple[str, LLMTimeout]:
    text = ""
    with pytest.raises(LLMTimeout) as raised:
        async with asyncio.timeout(LONG / 3):
            async for piece in client.stream(PROMPT, context):
                text += piece if isinstance(piece, str) else ""
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # would raise if our own cancellation were still on its way
    return text, raised.value


async def test_an_answer_in_time_passes_unchanged() -> None:
    inner = ScriptedLLM(("a", "b"))
    pieces = await events_of(bounded(inner), a_chat_context(has_fallback=True))
    assert pieces[1:3] == ["a", "b"]
    assert isinstance(pieces[-1], Reply)


async def test_silence_before_the_first_text_ends_while_somebody_else_could_answer() -> None:
    inner = ScriptedLLM((asyncio.Event(), "late"))
    client = bounded(inner, first_token_seconds=SHORT)
    text, error = await timeout_of(client, a_chat_context(has_fallback=True))
    assert (text, error.caller_deadline_was_shorter) == ("", False)
    assert inner.hung_up == 1


async def test_with_nobody_else_the_first_text_has_all_the_time_there_is() -> None:
    gate = asyncio.Event()
    inner = ScriptedLLM((gate, "late, but here"))
    asyncio.get_running_loop().call_later(3 * SHORT, gate.set)
    assert "late, but here" in await events_of(
        bounded(inner, first_token_seconds=SHORT), a_chat_context()
    )


async def test_a_share_of_what_is_left_is_the_limit_where_that_is_less() -> None:
    inner = ScriptedLLM((asyncio.Event(),))
    context = a_chat_context(first_text_seconds=SHORT * 100, whole_seconds=LONG, has_fallback=True)
    _, error = await timeout_of(bounded(inner, first_token_share=0.01), context)
    assert error.caller_deadline_was_shorter


@pytest.mark.realtime  # what is left is compared with a limit
async def test_what_somebody_else_needs_at_least_is_kept_back() -> None:
    inner = ScriptedLLM((asyncio.Event(),))
    context = a_chat_context(first_text_seconds=20 * SHORT, whole_seconds=LONG, has_fallback=True)
    await timeout_of(bounded(inner, min_attempt_seconds=12 * SHORT), context)
    assert context.first_text_deadline.remaining_seconds(time.monotonic()) > 6 * SHORT


async def test_with_too_little_left_to_share_the_route_has_it_all() -> None:
    gate = asyncio.Event()
    inner = ScriptedLLM((gate, "late, but here"))
    asyncio.get_running_loop().call_later(3 * SHORT, gate.set)
    context = a_chat_context(first_text_seconds=LONG, has_fallback=True)
    client = bounded(inner, first_token_seconds=SHORT, min_attempt_seconds=LONG)
    assert "late, but here" in await events_of(client, context)


@pytest.mark.parametrize("has_fallback", [True, False])
@pytest.mark.parametrize("limit", ["first_text_seconds", "whole_seconds"])
async def test_the_turn_s_own_deadline_holds_before_the_first_text(
    limit: str, has_fallback: bool
) -> None:
    inner = ScriptedLLM((asyncio.Event(),))
    context = a_chat_context(**{limit: SHORT}, has_fallback=has_fallback)  # type: ignore[arg-type]
    _, error = await timeout_of(bounded(inner), context)
    assert error.caller_deadline_was_shorter


async def test_who_answers_is_not_a_first_text() -> None:
    someone = ProviderSelected(provider="p", model="m")
    inner = ScriptedLLM((someone, someone, asyncio.Event()))
    client = bounded(inner, first_token_seconds=SHORT)
    assert (await timeout_of(client, a_chat_context(has_fallback=True)))[0] == ""


async def test_after_the_first_text_its_limits_no_longer_hold() -> None:
    gate = asyncio.Event()
    inner = ScriptedLLM(("a", gate, "b"))
    asyncio.get_running_loop().call_later(3 * SHORT, gate.set)
    context = a_chat_context(first_text_seconds=2 * SHORT, has_fallback=True)
    pieces = await events_of(bounded(inner, first_token_seconds=SHORT), context)
    assert pieces[1:3] == ["a", "b"]


async def test_silence_within_an_answer_ends_it() -> None:
    inner = ScriptedLLM(("a", asyncio.Event(), "b"))
    text, error = await timeout_of(bounded(inner, idle_seconds=SHORT), a_chat_context())
    assert (text, error.caller_deadline_was_shorter) == ("a", False)
    assert inner.hung_up == 1


@pytest.mark.realtime  # a piece that is late by one interval is a silence
async def test_each_piece_begins_a_new_silence() -> None:
    pieces: list[Piece] = []
    for number in range(6):
        gate = asyncio.Event()
        asyncio.get_running_loop().call_later((number + 1) * SHORT, gate.set)
        pieces += [gate, "x"]
    inner = ScriptedLLM(tuple(pieces))
    answer = await events_of(bounded(inner, idle_seconds=2 * SHORT), a_chat_context())
    assert answer.count("x") == 6


@pytest.mark.realtime  # two words have to come before the end
async def test_the_whole_is_bounded_also_while_words_come() -> None:
    class Dripping(LLMClient):
        async def stream(
            self, prompt: Prompt, context: ChatRequestContext
        ) -> AsyncGenerator[ProviderSelected | str | Reply, None]:
            while True:
                yield "drip "
                await asyncio.sleep(SHORT / 10)

    context = a_chat_context(whole_seconds=3 * SHORT)
    text, error = await timeout_of(bounded(Dripping(), idle_seconds=LONG), context)
    assert text.startswith("drip drip ")
    assert error.caller_deadline_was_shorter


async def test_a_flood_that_never_waits_is_bounded_too() -> None:
    class Flooding(LLMClient):
        async def stream(
            self, prompt: Prompt, context: ChatRequestContext
        ) -> AsyncGenerator[ProviderSelected | str | Reply, None]:
            while True:
                yield "x"

    text, _ = await timeout_of(bounded(Flooding()), a_chat_context(whole_seconds=SHORT))
    assert text


async def test_time_that_the_taker_takes_does_not_count() -> None:
    inner = ScriptedLLM(("a", "b"))
    texts = []
    async for piece in bounded(inner, idle_seconds=SHORT).stream(PROMPT, a_chat_context()):
        texts.append(piece)
        await asyncio.sleep(2 * SHORT)
    assert texts[1:3] == ["a", "b"]


async def test_nobody_is_asked_when_the_time_is_over() -> None:
    inner = ScriptedLLM("never")
    await timeout_of(bounded(inner), a_chat_context(first_text_seconds=-1.0))
    assert inner.asked == []


async def test_a_cancellation_from_outside_stays_one() -> None:
    inner = ScriptedLLM(("a", asyncio.Event()))
    task = asyncio.create_task(events_of(bounded(inner), a_chat_context()))
    while not inner.asked:
        await asyncio.sleep(0)
    task.cancel("from outside")
    with pytest.raises(asyncio.CancelledError, match="from outside"):
        await task
    assert inner.hung_up == 1


@pytest.mark.parametrize("outside_comes_at", [SHORT / 2, 2 * SHORT], ids=["before", "after"])
async def test_a_cancellation_from_outside_wins_over_one_of_ours_at_the_same_moment(
    outside_comes_at: float,
) -> None:
    inner = ScriptedLLM(("a", asyncio.Event()))
    task = asyncio.create_task(events_of(bounded(inner, idle_seconds=SHORT), a_chat_context()))
    while not inner.asked:
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(outside_comes_at, task.cancel)
    time.sleep(3 * SHORT)  # both are overdue now, and come in the same turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_timeout_around_it_is_told_apart_from_its_own() -> None:
    inner = ScriptedLLM((asyncio.Event(),))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await events_of(bounded(inner), a_chat_context())


@pytest.mark.parametrize("error", [LLMRejected(), LLMUnavailable()])
async def test_a_failure_of_the_route_passes_unchanged(error: LLMRejected) -> None:
    with pytest.raises(type(error)) as raised:
        await events_of(bounded(ScriptedLLM(error)), a_chat_context())
    assert raised.value is error


async def test_it_may_be_listened_to_by_one_task_after_another() -> None:
    inner = ScriptedLLM(("a", "b", asyncio.Event()))
    pieces = bounded(inner, idle_seconds=SHORT).stream(PROMPT, a_chat_context())
    step: Callable[[], object] = pieces.__anext__
    taken = [await asyncio.create_task(_run(step)) for _ in range(3)]
    assert taken[1:] == ["a", "b"]
    with pytest.raises(LLMTimeout):
        await asyncio.create_task(_run(step))


async def _run(step: Callable[[], object]) -> object:
    return await step()  # type: ignore[misc]


async def test_it_can_be_left_between_two_pieces_without_harm_to_who_left() -> None:
    inner = ScriptedLLM(("a", "b"))
    pieces = bounded(inner, idle_seconds=SHORT).stream(PROMPT, a_chat_context())
    assert [await anext(pieces), await anext(pieces)][1] == "a"
    await asyncio.sleep(3 * SHORT)  # long past the limit, but nobody waits for the route
    assert await anext(pieces) == "b"
    await pieces.aclose()
    assert inner.hung_up == 1


def timers() -> int:
    loop = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]


async def test_a_hundred_calls_share_one_timer_and_leave_no_more_behind() -> None:
    inner = ScriptedLLM(*[("a", "b")] * 100)
    client, before = bounded(inner), timers()
    calls = [client.stream(PROMPT, a_chat_context(has_fallback=True)) for _ in range(100)]
    for pieces in calls:
        await anext(pieces)
    assert timers() == before + 1
    for pieces in calls:
        await pieces.aclose()
    assert timers() == before + 1


@pytest.mark.realtime  # the order of ends is that of limits 40 ms apart
async def test_of_many_who_wait_each_is_called_at_its_own_moment() -> None:
    inner = ScriptedLLM(*[(asyncio.Event(),)] * 20)
    client, ended = bounded(inner), list[float]()

    async def wait(seconds: float) -> None:
        with pytest.raises(LLMTimeout):
            await events_of(client, a_chat_context(first_text_seconds=seconds))
        ended.append(seconds)

    limits = [SHORT * (1 + number % 4) for number in range(20)]
    await asyncio.gather(*(wait(seconds) for seconds in limits))
    assert ended == sorted(limits)


async def test_nobody_who_was_not_late_is_called_with_who_was() -> None:
    gate = asyncio.Event()
    inner = ScriptedLLM((asyncio.Event(),), ("a", gate, "b"))
    client = bounded(inner, idle_seconds=LONG)
    late = asyncio.create_task(timeout_of(client, a_chat_context(first_text_seconds=SHORT)))
    well = asyncio.create_task(events_of(client, a_chat_context()))
    await late
    await asyncio.sleep(SHORT)
    gate.set()
    assert (await well)[1:3] == ["a", "b"]


def test_it_serves_one_event_loop_after_another() -> None:
    client = bounded(ScriptedLLM("yes", (asyncio.Event(),)))

    async def ask(seconds: float) -> None:
        async with asyncio.timeout(LONG / 3):
            async for _ in client.stream(PROMPT, a_chat_context(first_text_seconds=seconds)):
                pass

    asyncio.run(ask(LONG))
    with pytest.raises(LLMTimeout):
        asyncio.run(ask(SHORT))


async def test_the_timer_is_set_once_for_many_waits() -> None:
    loop = asyncio.get_running_loop()
    set_before = len(loop._scheduled)  # type: ignore[attr-defined]
    clock = FakeClock()
    timeout = Timeout(SharedTimer(clock))
    for _ in range(100):
        clock.advance(0.1)
        timeout.start(clock.seconds + LONG, clock.seconds)
        timeout.end()
    assert len(loop._scheduled) == set_before + 1  # type: ignore[attr-defined]
    timeout.close()


async def test_a_moment_that_comes_nearer_is_not_missed() -> None:
    clock = SystemClock()
    timeout = Timeout(SharedTimer(clock))
    timeout.start(clock.monotonic() + LONG, clock.monotonic())
    timeout.end()
    timeout.start(clock.monotonic() + SHORT, clock.monotonic())
    with pytest.raises(TimeoutError):
        try:
            await asyncio.sleep(LONG)
        except BaseException as exc:
            timeout.end_after(exc)
            raise
    timeout.close()


async def test_a_timeout_whose_cancellation_was_swallowed_leaves_no_trace() -> None:
    clock = SystemClock()
    timeout = Timeout(SharedTimer(clock))
    timeout.start(clock.monotonic() + SHORT, clock.monotonic())
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        timeout.end()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    timeout.close()


async def test_a_timeout_does_not_expire_after_a_wait_that_failed() -> None:
    clock = SystemClock()
    timeout = Timeout(SharedTimer(clock))
    timeout.start(clock.monotonic() + SHORT, clock.monotonic())
    timeout.end_after(ValueError())
    await asyncio.sleep(3 * SHORT)  # would be cancelled
    timeout.close()


async def test_a_block_that_waits_too_long_ends_in_a_timeout() -> None:
    clock = SystemClock()
    timer = SharedTimer(clock)
    with pytest.raises(TimeoutError), timer.limit(clock.monotonic() + SHORT, clock.monotonic()):
        await asyncio.sleep(LONG)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_that_ends_in_time_is_not_cancelled_later() -> None:
    clock = SystemClock()
    timer = SharedTimer(clock)
    with timer.limit(clock.monotonic() + SHORT, clock.monotonic()):
        pass
    limit = timer.limit(clock.monotonic() + SHORT, clock.monotonic())
    with pytest.raises(ValueError, match="its own"), limit:
        raise ValueError("its own")
    await asyncio.sleep(3 * SHORT)  # would be cancelled

"""A provider that asked for a pause is left alone until then."""

import asyncio

import pytest

from domain.exceptions import LLMRateLimited, LLMUnavailable, NoRoute
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.call_hooks import HookedClient
from infra.llm.resilience.cooldown import Cooldown
from infra.llm.resilience.route_health import RouteState
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.unit.infra.llm.resilience.parts import Script, a_chat_context, read_answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def cooling(clock: FakeClock, *script: Script) -> tuple[Cooldown, HookedClient, ScriptedLLM]:
    llm = ScriptedLLM(*script)
    cooldown = Cooldown(cap_seconds=60.0, clock=clock)
    return cooldown, HookedClient(llm, [cooldown]), llm


@pytest.mark.parametrize(
    "failure",
    [
        LLMRateLimited(http_status=429, retry_after_seconds=7.0),
        LLMUnavailable(http_status=503, retry_after_seconds=7.0),
    ],
)
async def test_nobody_calls_before_the_moment_that_was_named(
    clock: FakeClock, failure: LLMRateLimited | LLMUnavailable
) -> None:
    cooldown, client, llm = cooling(clock, failure, "because")
    assert (await read_answer(client, a_chat_context(clock))).error is failure
    clock.advance(3.0)
    refused = (await read_answer(client, a_chat_context(clock))).error
    assert isinstance(refused, NoRoute)
    assert refused.retry_after_seconds == pytest.approx(4.0)
    assert cooldown.closed_for_seconds() == pytest.approx(4.0)
    clock.advance(4.0)
    assert (await read_answer(client, a_chat_context(clock))).text == "because"
    assert len(llm.asked) == 2


async def test_a_pause_of_an_hour_is_believed_for_a_minute(clock: FakeClock) -> None:
    cooldown, client, _ = cooling(clock, LLMRateLimited(retry_after_seconds=3600.0))
    await read_answer(client, a_chat_context(clock))
    assert cooldown.closed_for_seconds() == 60.0


@pytest.mark.seen("B15")
@pytest.mark.parametrize("delay", [None, 0.0, -1.0])
async def test_without_a_delay_it_rests_for_a_second_and_for_twice_as_long_each_time_in_a_row(
    clock: FakeClock, delay: float | None
) -> None:
    cooldown, client, _ = cooling(clock, *[LLMRateLimited(retry_after_seconds=delay)] * 9)
    rests = []
    for _ in range(9):
        await read_answer(client, a_chat_context(clock))
        rests.append(cooldown.closed_for_seconds())
        clock.advance(rests[-1])
    assert rests == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0])


@pytest.mark.seen("B15")
async def test_an_answer_in_between_begins_with_a_second_again(clock: FakeClock) -> None:
    limited = LLMRateLimited()
    cooldown, client, _ = cooling(clock, limited, limited, "because", limited)
    for _ in range(3):
        await read_answer(client, a_chat_context(clock))
        clock.advance(2.0)
    await read_answer(client, a_chat_context(clock))
    assert cooldown.closed_for_seconds() == pytest.approx(1.0)


@pytest.mark.seen("B15")
async def test_calls_that_were_under_way_together_are_limited_once(clock: FakeClock) -> None:
    both_called = asyncio.Event()
    cooldown, client, llm = cooling(
        clock, *[[both_called, LLMRateLimited()]] * 50, [both_called, "because"], LLMRateLimited()
    )
    callers = [asyncio.create_task(read_answer(client, a_chat_context(clock))) for _ in range(51)]
    while len(llm.asked) < 51:
        await asyncio.sleep(0)
    both_called.set()
    await asyncio.gather(*callers)
    assert cooldown.closed_for_seconds() == pytest.approx(1.0)
    clock.advance(1.0)
    await read_answer(client, a_chat_context(clock))
    assert cooldown.closed_for_seconds() == pytest.approx(2.0)  # the answer was to an earlier call


async def test_an_outage_without_a_delay_closes_nothing_here(clock: FakeClock) -> None:
    cooldown, client, _ = cooling(clock, LLMUnavailable(http_status=503))
    await read_answer(client, a_chat_context(clock))
    assert (cooldown.closed_for_seconds(), cooldown.closure()) == (0.0, None)


async def test_a_route_that_is_open_inside_is_not_cooled_for_that(clock: FakeClock) -> None:
    cooldown, client, _ = cooling(clock, NoRoute(retry_after_seconds=9.0))
    await read_answer(client, a_chat_context(clock))
    assert cooldown.closed_for_seconds() == 0.0


async def test_of_two_pauses_the_one_that_ends_later_counts(clock: FakeClock) -> None:
    both_called = asyncio.Event()
    cooldown, client, llm = cooling(
        clock,
        [both_called, LLMRateLimited(retry_after_seconds=30.0)],
        [both_called, LLMRateLimited(retry_after_seconds=5.0)],
    )
    callers = [asyncio.create_task(read_answer(client, a_chat_context(clock))) for _ in range(2)]
    while len(llm.asked) < 2:
        await asyncio.sleep(0)
    both_called.set()
    await asyncio.gather(*callers)
    assert cooldown.closed_for_seconds() == 30.0


async def test_it_tells_since_when_and_until_when(clock: FakeClock) -> None:
    cooldown, client, _ = cooling(clock, LLMRateLimited(retry_after_seconds=30.0))
    clock.advance(2.0)
    await read_answer(client, a_chat_context(clock))
    clock.advance(10.0)
    closure = cooldown.closure()
    assert closure is not None
    assert closure.state is RouteState.COOLING
    assert closure.since_milliseconds == START_MILLISECONDS + 2_000
    assert closure.retry_after_seconds == pytest.approx(20.0)
    clock.advance(20.0)
    assert cooldown.closure() is None

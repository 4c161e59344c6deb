"""Which endings count against a route, and that every other gives its permit back."""

import asyncio
from contextlib import aclosing
from random import Random

import pytest

from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.exceptions import (
    BulkheadFull,
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
)
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.breaker_state import Breaker, BreakerPolicy
from infra.llm.resilience.call_hooks import HookedClient
from infra.llm.resilience.circuit_breaker import CircuitBreaker
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import PROMPT, Script, a_chat_context, read_answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Circuit:
    """A scripted model behind a breaker."""

    def __init__(self, clock: FakeClock, *script: Script) -> None:
        self.clock = clock
        self.llm = ScriptedLLM(*script)
        self.breaker = Breaker("p a", BreakerPolicy(jitter=0.0), clock, Random(1))
        self.client = HookedClient(
            self.llm, [CircuitBreaker(breaker=self.breaker, first_token_seconds=12.0)]
        )

    async def open(self) -> None:
        """Open it by failures in front of the script, and wait until it may be probed."""
        for _ in range(5):
            permit = self.breaker.admit(1.0)
            assert permit is not None
            self.breaker.fail(permit)
        self.clock.advance(10.0)

    async def ask(self) -> LLMError | str:
        heard = await read_answer(self.client, a_chat_context(self.clock))
        assert heard.error is None or isinstance(heard.error, LLMError)
        return heard.error or heard.text


FAILURES: list[LLMError] = [
    LLMTimeout(),
    LLMUnavailable(connection_broke=True),
    LLMUnavailable(http_status=500),
    LLMUnavailable(http_status=200),
]
NEUTRAL: list[LLMError] = [
    LLMTimeout(caller_deadline_was_shorter=True),
    LLMRateLimited(http_status=429),
    LLMRejected(http_status=400),
    ContextTooLong(http_status=400),
    ContentBlocked(),
    BulkheadFull(),
    NoRoute(),
]


def name(failure: LLMError) -> str:
    return f"{failure.outcome} {failure.http_status} {getattr(failure, 'caller_deadline_was_shorter', '')}"


@pytest.mark.parametrize("failure", FAILURES, ids=name)
async def test_the_providers_own_failures_open_it(clock: FakeClock, failure: LLMError) -> None:
    circuit = Circuit(clock, *[failure] * 5)
    for _ in range(5):
        assert await circuit.ask() is failure
    refused = await circuit.ask()
    assert isinstance(refused, NoRoute)
    assert refused.retry_after_seconds == pytest.approx(10.0)
    assert len(circuit.llm.asked) == 5


@pytest.mark.parametrize("failure", NEUTRAL, ids=name)
async def test_what_says_nothing_about_the_route_never_opens_it(
    clock: FakeClock, failure: LLMError
) -> None:
    circuit = Circuit(clock, *[failure] * 50)
    for _ in range(50):
        assert await circuit.ask() is failure
    assert await circuit.ask() == "This is a scripted model, not a real LLM."


@pytest.mark.parametrize("failure", NEUTRAL, ids=name)
async def test_a_probe_that_ends_so_leaves_the_next_one_free(
    clock: FakeClock, failure: LLMError
) -> None:
    circuit = Circuit(clock, *[failure] * 100)
    await circuit.open()
    for _ in range(100):
        assert await circuit.ask() is failure
    for _ in range(2):
        await circuit.ask()
    assert circuit.breaker.closure() is None


async def test_a_blocked_answer_is_neither_success_nor_failure(clock: FakeClock) -> None:
    blocked = Reply(finish_reason=FinishReason.CONTENT_FILTER)
    circuit = Circuit(clock, *[["I", blocked]] * 10)
    await circuit.open()
    for _ in range(10):
        assert await circuit.ask() == "I"
    assert circuit.breaker.closure() is not None


async def test_an_answer_cut_in_the_middle_is_a_failure(clock: FakeClock) -> None:
    circuit = Circuit(clock, *[["beca", LLMUnavailable(connection_broke=True)]] * 5)
    for _ in range(5):
        await circuit.ask()
    assert isinstance(await circuit.ask(), NoRoute)


async def test_a_probe_whose_caller_leaves_makes_room_at_once(clock: FakeClock) -> None:
    silence = asyncio.Event()
    circuit = Circuit(clock, *[["I", silence]] * 100, "yes", "yes")
    await circuit.open()
    for _ in range(50):
        reading = asyncio.create_task(circuit.ask())
        while not circuit.llm.asked or circuit.breaker.closed_for_seconds() == 0.0:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    for _ in range(50):
        async with aclosing(circuit.client.stream(PROMPT, a_chat_context(clock))) as pieces:
            assert isinstance(await anext(pieces), ProviderSelected)
    assert [await circuit.ask(), await circuit.ask()] == ["yes", "yes"]
    assert circuit.breaker.closure() is None


async def test_of_a_hundred_callers_one_is_the_probe(clock: FakeClock) -> None:
    go_on = asyncio.Event()
    circuit = Circuit(clock, [go_on, "yes"], "yes")
    await circuit.open()
    callers = [asyncio.create_task(circuit.ask()) for _ in range(100)]
    while sum(caller.done() for caller in callers) < 99:
        await asyncio.sleep(0)
    assert len(circuit.llm.asked) == 1
    go_on.set()
    told = await asyncio.gather(*callers)
    assert told.count("yes") == 1
    assert sum(isinstance(one, NoRoute) for one in told) == 99


async def test_an_answer_counts_before_the_caller_has_it(clock: FakeClock) -> None:
    circuit = Circuit(clock, "yes", "yes")
    await circuit.open()
    for _ in range(2):
        async with aclosing(circuit.client.stream(PROMPT, a_chat_context(clock))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    break
    assert circuit.breaker.closure() is None


async def test_a_refused_key_is_told_as_such_without_asking_again(clock: FakeClock) -> None:
    circuit = Circuit(clock, LLMMisconfigured(http_status=401), "yes")
    await circuit.ask()
    again = await circuit.ask()
    assert isinstance(again, LLMMisconfigured)
    assert again.retry_after_seconds == pytest.approx(300.0)
    assert len(circuit.llm.asked) == 1
    clock.advance(300.0)
    assert await circuit.ask() == "yes"


async def test_the_lease_of_a_probe_is_as_long_as_it_may_be_silent(clock: FakeClock) -> None:
    for has_fallback, seconds in ((True, 17.0), (False, 64.0)):
        circuit = Circuit(clock)
        await circuit.open()
        context = a_chat_context(clock, has_fallback=has_fallback)
        lost = circuit.client.stream(PROMPT, context)
        await anext(lost)
        clock.advance(seconds - 0.01)
        assert isinstance(await circuit.ask(), NoRoute)
        clock.advance(0.02)
        assert isinstance(await circuit.ask(), str)
        await lost.aclose()


async def test_a_broken_model_leaves_its_sibling_at_the_same_provider_alone(
    clock: FakeClock,
) -> None:
    dead = Circuit(clock, *[LLMUnavailable(http_status=503)] * 100)
    well = Circuit(clock, *["yes"] * 100)
    for _ in range(100):
        await dead.ask()
        assert await well.ask() == "yes"
    assert len(dead.llm.asked) == 5

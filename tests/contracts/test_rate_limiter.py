"""What every limiter and every budget keeps to, in one process and over all that share a store."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from domain.exceptions import RateLimited
from domain.interfaces.rate_limiter import RateLimiter, TokenBudget
from infra.limits.counters import SharedCounters
from infra.limits.rate_limiter import SharedRateLimiter
from infra.limits.store_calls import StoreCalls
from infra.limits.token_budget import SharedTokenBudget
from infra.security.request_limits import WINDOW_SECONDS, MemoryRateLimiter
from infra.security.token_budget import MemoryTokenBudget
from tests.contracts.limit_counters import COUNTERS
from tests.fakes.clock import FakeClock

PER_MINUTE = 600
AT_ONCE = 50
READERS = 2
BUDGET = 10_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def in_memory(clock: FakeClock) -> AsyncIterator[tuple[RateLimiter, TokenBudget]]:
    yield (
        MemoryRateLimiter(
            clock, requests_per_minute=PER_MINUTE, concurrent_requests=AT_ONCE, readers=READERS
        ),
        MemoryTokenBudget(clock, tokens_per_day=BUDGET),
    )


def shared_limiter(counters: SharedCounters, clock: FakeClock) -> SharedRateLimiter:
    return SharedRateLimiter(
        counters,
        StoreCalls(clock),
        clock,
        requests_per_minute=PER_MINUTE,
        concurrent_requests=AT_ONCE,
        readers=READERS,
    )


def shared_budget(counters: SharedCounters, clock: FakeClock) -> SharedTokenBudget:
    return SharedTokenBudget(counters, StoreCalls(clock), clock, tokens_per_day=BUDGET)


@pytest.fixture(params=["in memory", *COUNTERS])
async def both(
    request: pytest.FixtureRequest, clock: FakeClock
) -> AsyncIterator[tuple[RateLimiter, TokenBudget]]:
    if request.param == "in memory":
        async with in_memory(clock) as opened:
            yield opened
        return
    async with COUNTERS[request.param]() as (counters, _):
        yield shared_limiter(counters, clock), shared_budget(counters, clock)


@pytest.fixture
def limiter(both: tuple[RateLimiter, TokenBudget]) -> RateLimiter:
    return both[0]


@pytest.fixture
def budget(both: tuple[RateLimiter, TokenBudget]) -> TokenBudget:
    return both[1]


async def admit_once(limiter: RateLimiter, name: str = "ana") -> int:
    """One request from start to end; returns what remains."""
    remaining = (await limiter.admit(name)).remaining
    limiter.release(name)
    return remaining


async def test_a_minutes_requests_are_let_in_and_then_one_every_tenth_of_a_second(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    assert [await admit_once(limiter) for _ in range(PER_MINUTE)] == list(
        reversed(range(PER_MINUTE))
    )
    with pytest.raises(RateLimited) as refused:
        await limiter.admit("ana")
    assert refused.value.retry_after_seconds == pytest.approx(0.1)
    clock.advance(refused.value.retry_after_seconds)
    assert await admit_once(limiter) == 0
    with pytest.raises(RateLimited):
        await limiter.admit("ana")


async def test_a_refused_request_counts_for_nothing(limiter: RateLimiter, clock: FakeClock) -> None:
    for _ in range(PER_MINUTE):
        await admit_once(limiter)
    for _ in range(1000):
        with pytest.raises(RateLimited):
            await limiter.admit("ana")
    clock.advance(1)
    assert await admit_once(limiter) == 9


async def test_readers_are_no_concurrent_requests_up_to_a_limit(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    for _ in range(AT_ONCE):
        await limiter.admit("ana")
    assert [limiter.count_as_reader("ana") for _ in range(READERS + 1)] == [True, True, False]
    await limiter.admit("ana")
    await limiter.admit("ana")
    with pytest.raises(RateLimited):
        await limiter.admit("ana")
    for _ in range(AT_ONCE):
        limiter.release("ana")
    clock.advance(2 * WINDOW_SECONDS)
    await admit_once(limiter, "bob")  # forgets callers that have nothing under way
    await limiter.admit("ana")
    assert not limiter.count_as_reader("ana")
    limiter.release_reader("ana")
    assert limiter.count_as_reader("ana")


async def test_another_caller_is_not_held_back(limiter: RateLimiter) -> None:
    for _ in range(PER_MINUTE):
        await admit_once(limiter)
    assert await admit_once(limiter, "bob") == PER_MINUTE - 1


async def test_only_so_many_are_under_way_at_once(limiter: RateLimiter) -> None:
    for _ in range(AT_ONCE):
        await limiter.admit("ana")
    with pytest.raises(RateLimited) as refused:
        await limiter.admit("ana")
    assert refused.value.retry_after_seconds == 1
    limiter.release("ana")
    await limiter.admit("ana")
    with pytest.raises(RateLimited):
        await limiter.admit("ana")


async def test_the_standing_tells_what_is_left_and_when_all_is_back(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (600, 0)
    for _ in range(30):
        await admit_once(limiter)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (570, 3)
    for _ in range(570):
        await admit_once(limiter)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (0, 1)
    clock.advance(WINDOW_SECONDS)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (600, 0)


async def test_callers_who_stay_away_are_forgotten_and_those_under_way_are_not(
    clock: FakeClock,
) -> None:
    limiter = MemoryRateLimiter(
        clock, requests_per_minute=PER_MINUTE, concurrent_requests=1, readers=1
    )
    await limiter.admit("busy")
    for number in range(1000):
        await admit_once(limiter, f"passer-by {number}")
    clock.advance(WINDOW_SECONDS)
    await admit_once(limiter, "somebody new")
    assert len(limiter._buckets) == 2
    with pytest.raises(RateLimited):
        await limiter.admit("busy")


async def test_what_is_set_aside_and_spent_never_exceeds_the_budget(budget: TokenBudget) -> None:
    chance = random.Random(7)
    under_way, spent = [], 0
    for _ in range(2000):
        if under_way and chance.random() < 0.5:
            reservation = under_way.pop(chance.randrange(len(under_way)))
            took = chance.randint(0, reservation.tokens)
            budget.settle(reservation, took)
            spent += took
        else:
            with suppress(RateLimited):
                under_way.append(await budget.reserve("ana", least=5, most=chance.randint(5, 900)))
        assert spent + sum(one.tokens for one in under_way) <= BUDGET
    assert spent > BUDGET * 0.9


async def test_the_last_call_gets_what_is_left_if_that_is_of_use(budget: TokenBudget) -> None:
    first = await budget.reserve("ana", least=1, most=9_900)
    assert (await budget.reserve("ana", least=100, most=5_000)).tokens == 100
    with pytest.raises(RateLimited) as refused:
        await budget.reserve("ana", least=1, most=1)
    assert refused.value.retry_after_seconds == 1
    budget.settle(first, 10)
    assert (await budget.reserve("ana", least=1, most=20_000)).tokens == 9_890


async def test_what_is_spent_is_back_at_midnight(budget: TokenBudget, clock: FakeClock) -> None:
    budget.settle(await budget.reserve("ana", least=1, most=BUDGET), BUDGET)
    with pytest.raises(RateLimited) as refused:
        await budget.reserve("ana", least=1, most=1)
    assert refused.value.retry_after_seconds == 14 * 3600  # the fake clock starts at 10:00
    assert (await budget.reserve("bob", least=1, most=1)).tokens == 1
    clock.advance(refused.value.retry_after_seconds)
    assert (await budget.reserve("ana", least=1, most=20_000)).tokens == BUDGET


async def test_a_call_over_midnight_takes_nothing_of_the_new_day(
    budget: TokenBudget, clock: FakeClock
) -> None:
    late = await budget.reserve("ana", least=1, most=BUDGET)
    clock.advance(14 * 3600)
    fresh = await budget.reserve("ana", least=1, most=BUDGET)
    assert fresh.tokens == BUDGET
    budget.settle(late, BUDGET)
    budget.settle(fresh, 0)
    assert (await budget.reserve("ana", least=1, most=BUDGET)).tokens == BUDGET


async def test_more_spent_than_set_aside_is_spent_all_the_same(budget: TokenBudget) -> None:
    budget.settle(await budget.reserve("ana", least=1, most=100), BUDGET + 50)
    with pytest.raises(RateLimited):
        await budget.reserve("ana", least=1, most=1)


@pytest.fixture(params=COUNTERS)
async def counters(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[SharedCounters, SharedCounters]]:
    async with COUNTERS[request.param]() as opened:
        yield opened


async def test_two_hosts_admit_together_what_one_bucket_would(
    counters: tuple[SharedCounters, SharedCounters], clock: FakeClock
) -> None:
    limiters = [shared_limiter(one, clock) for one in counters]
    chance = random.Random(11)
    bucket, admitted = float(PER_MINUTE), 0
    for _ in range(1500):
        if chance.random() < 0.02:
            seconds = chance.choice([0.05, 1.0, 20.0])
            clock.advance(seconds)
            bucket = min(float(PER_MINUTE), bucket + seconds * PER_MINUTE / WINDOW_SECONDS)
        with suppress(RateLimited):
            await admit_once(chance.choice(limiters))
            bucket -= 1
            admitted += 1
        assert bucket > -1e-6
    assert admitted > PER_MINUTE


@pytest.mark.slow
async def test_two_hosts_spend_together_no_more_than_the_budget(
    counters: tuple[SharedCounters, SharedCounters], clock: FakeClock
) -> None:
    budgets = [shared_budget(one, clock) for one in counters]
    chance = random.Random(5)
    under_way, spent = [], 0
    for _ in range(400):
        if chance.random() < 0.05:
            clock.advance(chance.choice([0.5, 3.0]))
            for one in budgets:
                await one.return_unused()
        budget = chance.choice(budgets)
        with suppress(RateLimited):
            under_way.append((budget, await budget.reserve("ana", least=5, most=900)))
        if under_way and chance.random() < 0.9:
            budget, reservation = under_way.pop(chance.randrange(len(under_way)))
            used = chance.randint(0, min(90, reservation.tokens))
            budget.settle(reservation, used)
            spent += used
        assert spent + sum(reservation.tokens for _, reservation in under_way) <= BUDGET
    assert spent > BUDGET * 0.9

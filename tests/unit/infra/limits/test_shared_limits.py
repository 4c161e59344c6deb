"""Limits over several processes: what they cost, what is lost and given back, and what holds while the store is away."""

import asyncio
from contextlib import suppress

import pytest

from domain.exceptions import RateLimited
from infra.limits.rate_limiter import SharedRateLimiter
from infra.limits.store_calls import PAUSE_SECONDS, StoreCalls
from infra.limits.token_budget import IDLE_SECONDS, SharedTokenBudget
from tests.fakes.clock import FakeClock
from tests.fakes.counters import InMemoryCounters

PER_MINUTE = 600
AT_ONCE = 50
BUDGET = 100_000


class Host:
    """One process with its limits."""

    def __init__(self, counters: InMemoryCounters, clock: FakeClock) -> None:
        calls = StoreCalls(clock)
        self.requests = SharedRateLimiter(
            counters,
            calls,
            clock,
            requests_per_minute=PER_MINUTE,
            concurrent_requests=AT_ONCE,
            readers=AT_ONCE,
        )
        self.tokens = SharedTokenBudget(counters, calls, clock, tokens_per_day=BUDGET)

    async def admitted(self, times: int) -> int:
        """Return how many of so many requests, one after the other, are admitted."""
        count = 0
        for _ in range(times):
            with suppress(RateLimited):
                await self.requests.admit("ana")
                self.requests.release("ana")
                count += 1
        return count

    async def call(self, *, most: int, used: int) -> None:
        self.tokens.settle(await self.tokens.reserve("ana", least=1, most=most), used)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def counters() -> InMemoryCounters:
    return InMemoryCounters()


@pytest.fixture
def hosts(counters: InMemoryCounters, clock: FakeClock) -> list[Host]:
    return [Host(counters, clock) for _ in range(3)]


def taken(counters: InMemoryCounters) -> int:
    return sum(counters.taken.values())


async def test_most_requests_of_a_burst_ask_nobody_and_refusals_neither(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    assert await hosts[0].admitted(PER_MINUTE) == PER_MINUTE
    assert counters.calls < PER_MINUTE / 6
    calls = counters.calls
    assert await hosts[0].admitted(1000) == 0
    assert counters.calls == calls
    assert await hosts[1].admitted(1000) == 0
    assert counters.calls == calls + 1


async def test_a_steady_caller_asks_once_in_many_requests(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    for _ in range(300):
        assert await hosts[0].admitted(1) == 1
        clock.advance(0.15)  # two thirds of what is allowed
    assert counters.calls <= 15


async def test_concurrent_requests_share_one_call(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    await asyncio.gather(*(hosts[0].requests.admit("ana") for _ in range(AT_ONCE)))
    assert counters.calls <= 3


async def test_a_cancelled_request_neither_counts_nor_stops_the_others(hosts: list[Host]) -> None:
    first = asyncio.create_task(hosts[0].requests.admit("ana"))
    second = asyncio.create_task(hosts[0].requests.admit("ana"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).remaining == PER_MINUTE - 1
    hosts[0].requests.release("ana")
    held = [await hosts[0].requests.admit("ana") for _ in range(AT_ONCE)]
    assert len(held) == AT_ONCE  # the cancelled one is not among the concurrent ones


async def test_unused_requests_of_a_block_expire_when_the_bucket_is_full_again(
    hosts: list[Host], clock: FakeClock
) -> None:
    one, other, _ = hosts
    assert await one.admitted(1) == 1  # with a block of which the rest is in its hand
    clock.advance(60)
    assert await other.admitted(PER_MINUTE) == PER_MINUTE
    assert await one.admitted(10) == 0


async def test_three_processes_admit_one_minutes_requests(hosts: list[Host]) -> None:
    admitted = await asyncio.gather(*(host.admitted(PER_MINUTE) for host in hosts))
    assert sum(admitted) == PER_MINUTE


async def test_without_the_store_each_process_applies_the_limit_to_its_own_requests(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    one, other, _ = hosts
    counters.is_away = True
    assert await one.admitted(PER_MINUTE + 10) == PER_MINUTE
    assert one.requests.status("ana").remaining == 0
    assert counters.calls == 1
    assert await other.admitted(10) == 10
    counters.is_away = False
    clock.advance(PAUSE_SECONDS)
    assert await one.admitted(1) == 1
    assert counters.calls == 3


async def test_one_request_at_a_time_tries_whether_the_store_is_back(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    counters.is_away = True
    await hosts[0].admitted(1)
    clock.advance(PAUSE_SECONDS)
    names = [f"caller {number}" for number in range(20)]
    await asyncio.gather(*(hosts[0].requests.admit(name) for name in names))
    assert counters.calls == 2


async def test_most_calls_reserve_tokens_without_asking(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    for _ in range(50):
        await hosts[0].call(most=1_000, used=100)
    assert counters.calls <= 6


async def test_tokens_in_hand_are_returned_when_the_caller_pauses(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    one, other, _ = hosts
    await one.call(most=1_000, used=100)
    assert taken(counters) > 100
    await one.tokens.return_unused()
    assert taken(counters) > 100
    clock.advance(IDLE_SECONDS)
    await one.tokens.return_unused()
    assert taken(counters) == 100
    whole = await other.tokens.reserve("ana", least=1, most=BUDGET)
    assert whole.tokens == BUDGET - 100
    calls = counters.calls
    await one.tokens.return_unused()
    assert counters.calls == calls


async def test_tokens_in_hand_are_returned_at_once_when_few_are_left(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    await hosts[0].call(most=90_000, used=10)
    await hosts[0].tokens.return_unused()
    assert taken(counters) == 10


async def test_tokens_in_hand_are_returned_at_the_end(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    await hosts[0].call(most=1_000, used=100)
    await hosts[0].tokens.close()
    assert taken(counters) == 100


async def test_tokens_taken_for_a_cancelled_request_stay_in_hand(
    hosts: list[Host], counters: InMemoryCounters
) -> None:
    reserving = asyncio.create_task(hosts[0].tokens.reserve("ana", least=1, most=1_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reserving.cancel()
    with suppress(asyncio.CancelledError):
        await reserving
    await hosts[0].tokens.close()
    assert counters.calls == 2
    assert taken(counters) == 0


async def test_what_others_hold_may_be_released_soon_and_what_is_spent_at_midnight(
    hosts: list[Host],
) -> None:
    one, other, _ = hosts
    held = await one.tokens.reserve("ana", least=1, most=BUDGET)
    with pytest.raises(RateLimited) as refused:
        await other.tokens.reserve("ana", least=1, most=1)
    assert (refused.value.retry_after_seconds, refused.value.limit) == (1, "tokens")
    one.tokens.settle(held, BUDGET)
    await one.tokens.return_unused()
    with pytest.raises(RateLimited) as refused:
        await other.tokens.reserve("ana", least=1, most=1)
    assert refused.value.retry_after_seconds == 14 * 3600


async def test_concurrent_calls_are_not_shortened_while_enough_is_left(hosts: list[Host]) -> None:
    reserved = await asyncio.gather(
        *(host.tokens.reserve("ana", least=1, most=1_000) for host in hosts for _ in range(20))
    )
    assert {reservation.tokens for reservation in reserved} == {1_000}


async def test_without_the_store_each_process_spends_its_own_budget_and_reports_it_afterwards(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    one, other, _ = hosts
    counters.is_away = True
    for _ in range(3):
        await one.call(most=40_000, used=30_000)
    with pytest.raises(RateLimited):
        await one.tokens.reserve("ana", least=10_001, most=20_000)
    counters.is_away = False
    clock.advance(PAUSE_SECONDS)
    await one.tokens.return_unused()
    assert taken(counters) == 90_000
    with pytest.raises(RateLimited):
        await other.tokens.reserve("ana", least=10_001, most=20_000)
    assert (await other.tokens.reserve("ana", least=1, most=20_000)).tokens == 10_000


async def test_a_change_of_unknown_outcome_counts_too_much_and_never_too_little(
    hosts: list[Host], counters: InMemoryCounters, clock: FakeClock
) -> None:
    one = hosts[0]
    await one.call(most=1_000, used=100)
    counters.loses_answers = True
    clock.advance(IDLE_SECONDS)
    await one.tokens.return_unused()  # applied, but not acknowledged
    assert taken(counters) == 100
    await one.call(most=1_000, used=50)
    counters.loses_answers = False
    clock.advance(IDLE_SECONDS)
    await one.tokens.return_unused()
    await one.tokens.return_unused()
    assert taken(counters) >= 150

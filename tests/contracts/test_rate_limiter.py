"""What every limiter and every budget keeps to."""

import random
from contextlib import suppress

import pytest

from domain.exceptions import RateLimited
from domain.interfaces.rate_limiter import RateLimiter, TokenBudget
from infra.security.request_limits import WINDOW_SECONDS, MemoryRateLimiter
from infra.security.token_budget import MemoryTokenBudget
from tests.fakes.clock import FakeClock

PER_MINUTE = 600
AT_ONCE = 50
READERS = 2
BUDGET = 10_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    return MemoryRateLimiter(
        clock, requests_per_minute=PER_MINUTE, concurrent_requests=AT_ONCE, readers=READERS
    )


@pytest.fixture
def budget(clock: FakeClock) -> TokenBudget:
    return MemoryTokenBudget(clock, tokens_per_day=BUDGET)


def admit_once(limiter: RateLimiter, name: str = "ana") -> int:
    """One request from start to end; returns what remains."""
    remaining = limiter.admit(name).remaining
    limiter.release(name)
    return remaining


def test_a_minutes_requests_are_let_in_and_then_one_every_tenth_of_a_second(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    assert [admit_once(limiter) for _ in range(PER_MINUTE)] == list(reversed(range(PER_MINUTE)))
    with pytest.raises(RateLimited) as refused:
        limiter.admit("ana")
    assert refused.value.retry_after_seconds == pytest.approx(0.1)
    clock.advance(refused.value.retry_after_seconds)
    assert admit_once(limiter) == 0
    with pytest.raises(RateLimited):
        limiter.admit("ana")


def test_a_refused_request_counts_for_nothing(limiter: RateLimiter, clock: FakeClock) -> None:
    for _ in range(PER_MINUTE):
        admit_once(limiter)
    for _ in range(1000):
        with pytest.raises(RateLimited):
            limiter.admit("ana")
    clock.advance(1)
    assert admit_once(limiter) == 9


def test_readers_are_no_concurrent_requests_up_to_a_limit(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    for _ in range(AT_ONCE):
        limiter.admit("ana")
    assert [limiter.count_as_reader("ana") for _ in range(READERS + 1)] == [True, True, False]
    limiter.admit("ana")
    limiter.admit("ana")
    with pytest.raises(RateLimited):
        limiter.admit("ana")
    for _ in range(AT_ONCE):
        limiter.release("ana")
    clock.advance(2 * WINDOW_SECONDS)
    admit_once(limiter, "bob")  # forgets callers that have nothing under way
    limiter.admit("ana")
    assert not limiter.count_as_reader("ana")
    limiter.release_reader("ana")
    assert limiter.count_as_reader("ana")


def test_another_caller_is_not_held_back(limiter: RateLimiter) -> None:
    for _ in range(PER_MINUTE):
        admit_once(limiter)
    assert admit_once(limiter, "bob") == PER_MINUTE - 1


def test_only_so_many_are_under_way_at_once(limiter: RateLimiter) -> None:
    for _ in range(AT_ONCE):
        limiter.admit("ana")
    with pytest.raises(RateLimited) as refused:
        limiter.admit("ana")
    assert refused.value.retry_after_seconds == 1
    limiter.release("ana")
    limiter.admit("ana")
    with pytest.raises(RateLimited):
        limiter.admit("ana")


def test_the_standing_tells_what_is_left_and_when_all_is_back(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (600, 0)
    for _ in range(30):
        admit_once(limiter)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (570, 3)
    for _ in range(570):
        admit_once(limiter)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (0, 1)
    clock.advance(WINDOW_SECONDS)
    assert (limiter.status("ana").remaining, limiter.status("ana").reset_seconds) == (600, 0)


def test_callers_who_stay_away_are_forgotten_and_those_under_way_are_not(clock: FakeClock) -> None:
    limiter = MemoryRateLimiter(
        clock, requests_per_minute=PER_MINUTE, concurrent_requests=1, readers=1
    )
    limiter.admit("busy")
    for number in range(1000):
        admit_once(limiter, f"passer-by {number}")
    clock.advance(WINDOW_SECONDS)
    admit_once(limiter, "somebody new")
    assert len(limiter._buckets) == 2
    with pytest.raises(RateLimited):
        limiter.admit("busy")


def test_what_is_set_aside_and_spent_never_exceeds_the_budget(budget: TokenBudget) -> None:
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
                under_way.append(budget.reserve("ana", least=5, most=chance.randint(5, 900)))
        assert spent + sum(one.tokens for one in under_way) <= BUDGET
    assert spent > BUDGET * 0.9


def test_the_last_call_gets_what_is_left_if_that_is_of_use(budget: TokenBudget) -> None:
    first = budget.reserve("ana", least=1, most=9_900)
    assert budget.reserve("ana", least=100, most=5_000).tokens == 100
    with pytest.raises(RateLimited) as refused:
        budget.reserve("ana", least=1, most=1)
    assert refused.value.retry_after_seconds == 1
    budget.settle(first, 10)
    assert budget.reserve("ana", least=1, most=20_000).tokens == 9_890


def test_what_is_spent_is_back_at_midnight(budget: TokenBudget, clock: FakeClock) -> None:
    budget.settle(budget.reserve("ana", least=1, most=BUDGET), BUDGET)
    with pytest.raises(RateLimited) as refused:
        budget.reserve("ana", least=1, most=1)
    assert refused.value.retry_after_seconds == 14 * 3600  # the fake clock starts at 10:00
    assert budget.reserve("bob", least=1, most=1).tokens == 1
    clock.advance(refused.value.retry_after_seconds)
    assert budget.reserve("ana", least=1, most=20_000).tokens == BUDGET


def test_a_call_over_midnight_takes_nothing_of_the_new_day(
    budget: TokenBudget, clock: FakeClock
) -> None:
    late = budget.reserve("ana", least=1, most=BUDGET)
    clock.advance(14 * 3600)
    fresh = budget.reserve("ana", least=1, most=BUDGET)
    assert fresh.tokens == BUDGET
    budget.settle(late, BUDGET)
    budget.settle(fresh, 0)
    assert budget.reserve("ana", least=1, most=BUDGET).tokens == BUDGET


def test_more_spent_than_set_aside_is_spent_all_the_same(budget: TokenBudget) -> None:
    budget.settle(budget.reserve("ana", least=1, most=100), BUDGET + 50)
    with pytest.raises(RateLimited):
        budget.reserve("ana", least=1, most=1)

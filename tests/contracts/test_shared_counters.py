"""What every store that counts for shared limits keeps to."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from infra.limits.counters import NANOSECONDS, RequestRate, TokenChange
from tests.contracts.limit_counters import COUNTERS, Counters

NOW = 1_795_341_600 * NANOSECONDS
RATE = RequestRate(60)  # one a second
DAY = 20_779
BUDGET = 1_000


@pytest.fixture(params=COUNTERS)
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    async with COUNTERS[request.param]() as opened:
        yield opened


async def test_a_bucket_holds_the_requests_of_a_minute_and_refills_evenly(both: Counters) -> None:
    one, other = both
    taken = await one.take_requests("ana", RATE, wanted=40, now=NOW)
    assert (taken.granted, taken.full_after) == (40, 40 * NANOSECONDS)
    taken = await other.take_requests("ana", RATE, wanted=40, now=NOW)
    assert (taken.granted, taken.full_after) == (20, 60 * NANOSECONDS)
    taken = await one.take_requests("ana", RATE, wanted=1, now=NOW)
    assert (taken.granted, taken.full_after) == (0, 60 * NANOSECONDS)
    taken = await one.take_requests("ana", RATE, wanted=9, now=NOW + 3 * NANOSECONDS)
    assert (taken.granted, taken.full_after) == (3, 60 * NANOSECONDS)
    taken = await other.take_requests("ana", RATE, wanted=70, now=NOW + 90 * NANOSECONDS)
    assert taken.granted == 60
    assert (await one.take_requests("bob", RATE, wanted=60, now=NOW)).granted == 60


async def test_a_bucket_is_empty_at_the_most_after_a_clock_was_set_back(both: Counters) -> None:
    one, other = both
    await one.take_requests("ana", RATE, wanted=1, now=NOW + 3_600 * NANOSECONDS)
    taken = await other.take_requests("ana", RATE, wanted=1, now=NOW)
    assert (taken.granted, taken.full_after) == (0, 60 * NANOSECONDS)
    assert (await one.take_requests("ana", RATE, wanted=9, now=NOW + 2 * NANOSECONDS)).granted == 2


async def test_concurrent_takers_never_get_more_than_there_is(both: Counters) -> None:
    chance = random.Random(3)
    takes = [
        counters.take_requests("ana", RATE, wanted=chance.randint(1, 5), now=NOW)
        for counters in both
        for _ in range(20)
    ]
    assert sum(taken.granted for taken in await asyncio.gather(*takes)) == 60


async def test_tokens_are_taken_once_and_returned(both: Counters) -> None:
    one, other = both

    async def left(**change: int) -> tuple[int, int, int]:
        found = await other.change_tokens("ana", DAY, TokenChange(budget=BUDGET, **change))
        return found.granted, found.left, found.unspent

    first = await one.change_tokens("ana", DAY, TokenChange(budget=BUDGET, least=1, wanted=900))
    assert (first.granted, first.left, first.unspent) == (900, 100, 1_000)
    assert await left(least=101, wanted=500) == (0, 100, 1_000)
    assert await left(least=100, wanted=500) == (100, 0, 1_000)
    assert await left(least=1, wanted=500) == (0, 0, 1_000)
    assert await left(returned=300, spent=20) == (0, 300, 980)
    assert await left(returned=-400, spent=400) == (0, -100, 580)
    assert await left(least=1, wanted=1) == (0, -100, 580)
    assert await left(least=0, wanted=1) == (0, -100, 580)
    assert await left(least=1, wanted=50, returned=120) == (20, 0, 580)
    next_day = await one.change_tokens("ana", DAY + 1, TokenChange(budget=BUDGET, wanted=1))
    assert (next_day.granted, next_day.left) == (1, 999)


async def test_concurrent_calls_never_take_more_tokens_than_the_budget(both: Counters) -> None:
    changes = [
        counters.change_tokens("ana", DAY, TokenChange(budget=BUDGET, least=1, wanted=37))
        for counters in both
        for _ in range(20)
    ]
    assert sum(found.granted for found in await asyncio.gather(*changes)) == BUDGET

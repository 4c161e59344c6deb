"""One layer of retries: where it helps, how long it waits, and when it stops."""

import asyncio
from random import Random

import pytest

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
from infra.llm.resilience.breaker_state import BreakerPolicy
from infra.llm.resilience.retry import Retry, RetryPolicy
from infra.llm.resilience.retry_budget import RetryBudget, RetryBudgetPolicy
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    DONE,
    PROMPT,
    RouteHarness,
    Script,
    a_chat_context,
    read_answer,
)

NEVER_OPENS = BreakerPolicy(consecutive_failures=10**9, failure_ratio=2.0)


def a_rig(clock: FakeClock, *script: Script, retry: RetryPolicy | None = None) -> RouteHarness:
    return RouteHarness(clock, *script, breaker=NEVER_OPENS, retry=retry)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


PASSING: list[LLMError] = [
    LLMUnavailable(connection_broke=True),
    *(LLMUnavailable(http_status=status) for status in (408, 424, 500, 502, 503, 504, 529)),
    LLMRateLimited(http_status=429),
]


@pytest.mark.parametrize("failure", PASSING, ids=lambda e: f"{e.outcome} {e.http_status}")
async def test_what_passes_by_itself_is_tried_once_more(
    clock: FakeClock, failure: LLMError
) -> None:
    harness = a_rig(clock, failure, "because")
    context = a_chat_context(clock)
    heard = await read_answer(harness.retry, context)
    assert (heard.text, heard.pieces[-1]) == ("because", DONE)
    assert [attempt.outcome for attempt in context.attempts] == [failure.outcome, "ok"]


LASTING: list[LLMError] = [
    LLMTimeout(),
    LLMUnavailable(http_status=200),
    LLMUnavailable(http_status=501),
    LLMMisconfigured(http_status=401),
    LLMRejected(http_status=400),
    ContextTooLong(),
    ContentBlocked(),
]


@pytest.mark.parametrize("failure", LASTING, ids=lambda e: f"{e.outcome} {e.http_status}")
async def test_silence_and_what_would_come_again_is_not_tried_again(
    clock: FakeClock, failure: LLMError
) -> None:
    harness = a_rig(clock, failure, "because")
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert (heard.error, harness.calls, clock.slept) == (failure, 1, [])


async def test_a_route_is_tried_twice_at_most(clock: FakeClock) -> None:
    failures = [LLMUnavailable(http_status=503) for _ in range(3)]
    harness = a_rig(clock, *failures)
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert (heard.error, harness.calls) == (failures[1], 2)


@pytest.mark.parametrize(("spare", "calls"), [(-1, 1), (0, 1), (1, 2), (4, 2)])
async def test_an_attempt_that_another_route_needs_is_left_to_it(
    clock: FakeClock, spare: int, calls: int
) -> None:
    harness = a_rig(clock, *(LLMUnavailable(http_status=503) for _ in range(3)))
    context = a_chat_context(clock, has_fallback=True)
    context.spare_attempts = spare
    await read_answer(harness.retry, context)
    assert harness.calls == calls


@pytest.mark.seen("B15")
@pytest.mark.parametrize("delay", [None, 0.5, 30.0])
async def test_a_rate_limit_is_not_waited_for_while_another_route_is_left(
    clock: FakeClock, delay: float | None
) -> None:
    limited = LLMRateLimited(http_status=429, retry_after_seconds=delay)
    harness = a_rig(clock, limited, "yes")
    heard = await read_answer(harness.retry, a_chat_context(clock, has_fallback=True))
    assert (heard.error, harness.calls, clock.slept) == (limited, 1, [])


async def test_the_pause_is_anything_up_to_the_base(clock: FakeClock) -> None:
    for _ in range(300):
        harness = a_rig(clock, LLMUnavailable(http_status=503), "yes")
        harness.retry = Retry(
            harness.route.once,
            provider="p",
            model="a",
            policy=RetryPolicy(base_seconds=0.2),
            clock=clock,
            random=Random(len(clock.slept)),
            breakers=(),
        )
        await read_answer(harness.retry, a_chat_context(clock))
    assert len(clock.slept) == 300
    assert min(clock.slept) < 0.01
    assert max(clock.slept) > 0.19
    assert all(0 <= pause <= 0.2 for pause in clock.slept)


@pytest.mark.parametrize("asked_seconds", [0.045, 1.0, 2.0])
@pytest.mark.parametrize("kind", [LLMRateLimited, LLMUnavailable])
async def test_a_short_pause_that_was_asked_for_is_kept(
    clock: FakeClock, asked_seconds: float, kind: type[LLMRateLimited | LLMUnavailable]
) -> None:
    status = 429 if kind is LLMRateLimited else 503
    harness = a_rig(clock, kind(http_status=status, retry_after_seconds=asked_seconds), "because")
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert heard.text == "because"
    assert len(clock.slept) == 1
    assert asked_seconds < clock.slept[0] <= asked_seconds + 0.2


@pytest.mark.parametrize("asked_seconds", [2.01, 30.0, 1e9])
async def test_a_long_pause_is_not_waited_for(clock: FakeClock, asked_seconds: float) -> None:
    harness = a_rig(clock, LLMRateLimited(http_status=429, retry_after_seconds=asked_seconds))
    await read_answer(harness.retry, a_chat_context(clock))
    assert (harness.calls, clock.slept) == (1, [])


@pytest.mark.parametrize("nonsense_seconds", [0.0, -1.0])
async def test_a_pause_that_is_none_counts_as_not_asked_for(
    clock: FakeClock, nonsense_seconds: float
) -> None:
    failure = LLMUnavailable(http_status=503, retry_after_seconds=nonsense_seconds)
    harness = a_rig(clock, failure, "because")
    assert (await read_answer(harness.retry, a_chat_context(clock))).text == "because"
    assert clock.slept[0] <= 0.2


async def test_never_after_words_reached_a_streamed_caller(clock: FakeClock) -> None:
    cut = LLMUnavailable(connection_broke=True)
    harness = a_rig(clock, ["beca", cut], "because")
    heard = await read_answer(harness.retry, a_chat_context(clock, is_streamed=True))
    assert (heard.error, heard.text, harness.calls) == (cut, "beca", 1)


async def test_a_plain_caller_gets_a_new_answer_instead_of_half_a_one(clock: FakeClock) -> None:
    harness = a_rig(clock, ["beca", LLMUnavailable(connection_broke=True)], "because")
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert (heard.text, heard.voices) == ("because", ["a", "a"])


@pytest.mark.parametrize(("seconds", "calls"), [(3.0, 1), (3.3, 2)])
async def test_the_pause_has_to_leave_time_for_an_attempt(
    clock: FakeClock, seconds: float, calls: int
) -> None:
    harness = a_rig(clock, LLMRateLimited(http_status=429, retry_after_seconds=1.0), "because")
    await read_answer(harness.retry, a_chat_context(clock, seconds=seconds))
    assert (harness.calls, len(clock.slept)) == (calls, calls - 1)


async def test_a_route_that_will_refuse_anyway_is_not_waited_for(clock: FakeClock) -> None:
    failure = LLMUnavailable(http_status=503)
    harness = RouteHarness(clock, failure, breaker=BreakerPolicy(consecutive_failures=1))
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert (heard.error, clock.slept) == (failure, [])


@pytest.mark.parametrize("refusal", [NoRoute(), BulkheadFull()])
async def test_what_failed_is_told_rather_than_that_the_second_try_was_refused(
    clock: FakeClock, refusal: LLMError
) -> None:
    failure = LLMUnavailable(http_status=503)
    harness = a_rig(clock, failure, refusal)
    heard = await read_answer(harness.retry, a_chat_context(clock))
    assert (heard.error, harness.calls) == (failure, 2)


async def test_a_refusal_at_the_first_try_is_told_as_it_is(clock: FakeClock) -> None:
    refusal = NoRoute(retry_after_seconds=3.0)
    heard = await read_answer(a_rig(clock, refusal).retry, a_chat_context(clock))
    assert heard.error is refusal


async def test_who_leaves_during_the_pause_is_not_asked_for_again() -> None:
    clock = FakeClock(sleeping_advances=False)
    harness = a_rig(clock, LLMUnavailable(http_status=503), "because")
    reading = asyncio.create_task(read_answer(harness.retry, a_chat_context(clock)))
    while not clock.slept:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert harness.calls == 1


async def test_who_hangs_up_on_it_hangs_up_on_the_provider(clock: FakeClock) -> None:
    harness = a_rig(clock, "because")
    pieces = harness.retry.stream(PROMPT, a_chat_context(clock))
    await anext(pieces)
    await pieces.aclose()
    assert harness.llm.hung_up == 1


async def test_the_budget_runs_dry_and_comes_back_with_answers(clock: FakeClock) -> None:
    harness = a_rig(clock, *(LLMUnavailable(http_status=503) for _ in range(100)))
    for _ in range(30):
        await read_answer(harness.retry, a_chat_context(clock))
    assert harness.calls == 30 + 20
    assert harness.retry.budget.tokens == 0
    harness = a_rig(clock, "yes", "yes", LLMUnavailable(http_status=503), "yes")
    while harness.retry.budget.take_retry():
        pass
    for _ in range(2):
        await read_answer(harness.retry, a_chat_context(clock))
    assert harness.retry.budget.tokens == 2


async def test_an_answer_at_the_second_try_brings_nothing_back(clock: FakeClock) -> None:
    harness = a_rig(clock, LLMUnavailable(http_status=503), "yes")
    await read_answer(harness.retry, a_chat_context(clock))
    assert harness.retry.budget.tokens == 95


@pytest.mark.parametrize(("hasty", "tokens"), [(False, 90), (True, 100)])
async def test_a_timeout_costs_more_unless_it_was_the_callers(
    clock: FakeClock, hasty: bool, tokens: int
) -> None:
    harness = a_rig(clock, LLMTimeout(caller_deadline_was_shorter=hasty))
    await read_answer(harness.retry, a_chat_context(clock))
    assert harness.retry.budget.tokens == tokens


def test_the_bucket_neither_overflows_nor_goes_below_nothing() -> None:
    budget = RetryBudget(RetryBudgetPolicy(capacity_tokens=12))
    budget.refund_success()
    assert budget.tokens == 12
    budget.pay_timeout()
    assert not budget.take_retry()
    assert budget.tokens == 2
    budget.pay_timeout()
    assert budget.tokens == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_when_half_of_all_calls_fail_retries_are_no_storm(seed: int) -> None:
    clock, random, requests = FakeClock(), Random(seed), 4_000
    script: list[Script] = [
        "yes" if random.random() < 0.5 else LLMUnavailable(http_status=503)
        for _ in range(2 * requests)
    ]
    harness = a_rig(clock, *script)
    for _ in range(requests):
        await read_answer(harness.retry, a_chat_context(clock))
    assert requests < harness.calls <= 1.25 * requests

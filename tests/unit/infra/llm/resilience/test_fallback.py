"""Who answers when the one who was asked does not, and what the caller is told when nobody does."""

import asyncio
from contextlib import aclosing

import pytest

from domain.entities.prompt import Prompt
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    DomainError,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
    Overloaded,
)
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.breaker_state import BreakerPolicy
from infra.llm.resilience.bulkhead import ProviderConcurrencyLimit
from infra.llm.resilience.deadline import Deadline
from infra.llm.resilience.retry import RetryPolicy
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import (
    DONE,
    RouteHarness,
    a_chat_context,
    falling_back,
    read_answer,
)

DOWN = LLMUnavailable(http_status=503)
NO_RETRY = RetryPolicy(attempts_per_route=1)
OPENS_AT_ONCE = BreakerPolicy(consecutive_failures=1, jitter=0.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_the_model_that_was_asked_for_answers_alone(clock: FakeClock) -> None:
    first, second = RouteHarness(clock, "yes"), RouteHarness(clock, "no", model="b")
    context = a_chat_context(clock)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, heard.voices, heard.pieces[-1]) == ("yes", ["a"], DONE)
    assert (second.calls, len(context.attempts)) == (0, 1)


MAY_FALL_BACK: list[LLMError] = [
    LLMUnavailable(http_status=500),
    LLMUnavailable(http_status=200),
    LLMUnavailable(connection_broke=True),
    LLMTimeout(),
    LLMRateLimited(http_status=429, retry_after_seconds=30.0),
    LLMMisconfigured(http_status=401),
    LLMMisconfigured(http_status=404),
]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("failure", MAY_FALL_BACK, ids=lambda e: f"{e.outcome} {e.http_status}")
async def test_somebody_else_answers_for_one_who_cannot(
    clock: FakeClock, failure: LLMError, is_streamed: bool
) -> None:
    first = RouteHarness(clock, failure, retry=NO_RETRY)
    second = RouteHarness(clock, "because", model="b", provider="q")
    context = a_chat_context(clock, is_streamed=is_streamed)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.text, heard.voices) == ("because", ["a", "b"])
    assert [(attempt.model, attempt.outcome) for attempt in context.attempts] == [
        ("a", failure.outcome),
        ("b", "ok"),
    ]


MUST_NOT: list[LLMError] = [
    LLMRejected(http_status=400),
    LLMRejected(http_status=422),
    ContentBlocked(http_status=200),
]


@pytest.mark.parametrize("failure", MUST_NOT, ids=lambda e: f"{e.outcome} {e.http_status}")
async def test_nobody_else_is_asked_what_was_refused(clock: FakeClock, failure: LLMError) -> None:
    first, second = RouteHarness(clock, failure), RouteHarness(clock, "no", model="b")
    context = a_chat_context(clock)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.error, second.calls, len(context.attempts)) == (failure, 0, 1)
    assert first.breaker.closure() is None


async def test_what_the_second_finds_fault_with_is_told(clock: FakeClock) -> None:
    rejected = LLMRejected(http_status=400)
    first, second = (
        RouteHarness(clock, DOWN, retry=NO_RETRY),
        RouteHarness(clock, rejected, model="b"),
    )
    assert (
        await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    ).error is rejected


async def test_without_leave_nobody_else_is_asked(clock: FakeClock) -> None:
    first, second = RouteHarness(clock, DOWN, DOWN), RouteHarness(clock, "no", model="b")
    context = a_chat_context(clock, may_fall_back=False)
    heard = await read_answer(falling_back(clock, first, second), context)
    assert (heard.error, first.calls, second.calls) == (DOWN, 2, 0)
    assert not context.has_fallback


async def test_with_under_two_seconds_left_nobody_else_is_asked(clock: FakeClock) -> None:
    for seconds, calls in ((1.99, 0), (2.01, 1)):
        first, second = (
            RouteHarness(clock, DOWN, retry=NO_RETRY),
            RouteHarness(clock, "yes", model="b"),
        )
        await read_answer(
            falling_back(clock, first, second), a_chat_context(clock, seconds=seconds)
        )
        assert second.calls == calls


def down_everywhere(clock: FakeClock, number: int, failure: LLMError = DOWN) -> list[RouteHarness]:
    models = "abcdefgh"[:number]
    return [RouteHarness(clock, failure, failure, model=model, provider=model) for model in models]


@pytest.mark.seen("B15")
@pytest.mark.parametrize(
    ("routes", "asked"),
    [(1, "aa"), (2, "aab"), (3, "aabc"), (4, "aabcd"), (5, "aabcde"), (6, "abcdef"), (8, "abcdef")],
)
async def test_every_route_is_asked_and_one_of_them_twice_six_calls_at_the_most(
    clock: FakeClock, routes: int, asked: str
) -> None:
    context = a_chat_context(clock)
    heard = await read_answer(falling_back(clock, *down_everywhere(clock, routes)), context)
    assert heard.error is DOWN
    assert "".join(attempt.model for attempt in context.attempts) == asked


@pytest.mark.seen("B15")
@pytest.mark.parametrize(
    ("most", "asked"), [(1, "a"), (2, "ab"), (3, "abc"), (4, "abcd"), (5, "aabcd")]
)
async def test_a_number_of_calls_that_was_set_holds_and_goes_to_new_routes_first(
    clock: FakeClock, most: int, asked: str
) -> None:
    context = a_chat_context(clock)
    chain = falling_back(clock, *down_everywhere(clock, 4), attempts_per_turn=most)
    await read_answer(chain, context)
    assert "".join(attempt.model for attempt in context.attempts) == asked


@pytest.mark.seen("B15")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("delay", [None, 0.0, 0.5, 2.0, 30.0])
async def test_a_healthy_route_is_reached_behind_two_that_limit_the_rate(
    clock: FakeClock, delay: float | None, is_streamed: bool
) -> None:
    slow_down = LLMRateLimited(http_status=429, retry_after_seconds=delay)
    limited = down_everywhere(clock, 2, slow_down)
    chain = falling_back(clock, *limited, RouteHarness(clock, *["c"] * 20, model="c"))
    for _ in range(20):
        assert (
            await read_answer(chain, a_chat_context(clock, is_streamed=is_streamed))
        ).text == "c"
    assert [harness.calls for harness in limited] == [1, 1]  # they rest
    assert clock.slept == []


@pytest.mark.seen("B15")
async def test_who_alone_limits_the_rate_is_asked_again_after_its_rest(clock: FakeClock) -> None:
    slow_down = LLMRateLimited(http_status=429)
    harness = RouteHarness(clock, slow_down, "yes")
    assert (await read_answer(falling_back(clock, harness), a_chat_context(clock))).text == "yes"
    assert len(clock.slept) == 1
    assert 1.0 < clock.slept[0] <= 1.2
    resting = RouteHarness(clock, LLMRateLimited(retry_after_seconds=30.0), model="b")
    await read_answer(resting.route.once, a_chat_context(clock))
    first = RouteHarness(clock, slow_down, "yes")
    assert (
        await read_answer(falling_back(clock, first, resting), a_chat_context(clock))
    ).text == "yes"


async def test_a_closed_route_needs_no_attempt_that_a_retry_could_have(clock: FakeClock) -> None:
    resting = RouteHarness(clock, LLMRateLimited(retry_after_seconds=30.0), model="b")
    await read_answer(resting.route.once, a_chat_context(clock))
    first = RouteHarness(clock, DOWN, "yes")
    chain = falling_back(clock, first, resting, attempts_per_turn=2)
    assert (await read_answer(chain, a_chat_context(clock))).text == "yes"


async def test_a_plain_answer_may_start_anew_with_somebody_else(clock: FakeClock) -> None:
    first = RouteHarness(clock, ["half an ans", LLMTimeout()])
    second = RouteHarness(clock, "because", model="b")
    heard = await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    assert (heard.text, heard.voices) == ("because", ["a", "b"])
    assert len(second.llm.asked[0].messages) == 1


@pytest.mark.parametrize(
    ("windows", "calls"),
    [((1_000, 2_000), (1, 1)), ((1_000, 1_000), (1, 0)), ((2_000, 1_000), (1, 0))],
)
async def test_what_is_too_long_goes_to_a_larger_window_only(
    clock: FakeClock, windows: tuple[int, int], calls: tuple[int, int]
) -> None:
    too_long = ContextTooLong()
    first = RouteHarness(clock, too_long, context_tokens=windows[0])
    second = RouteHarness(clock, "yes", model="b", context_tokens=windows[1])
    heard = await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    assert (first.calls, second.calls) == calls
    assert heard.error is (too_long if calls == (1, 0) else None)


async def test_the_largest_window_that_was_too_small_is_the_measure(clock: FakeClock) -> None:
    windows = {"a": 2_000, "b": 1_000, "c": 3_000}
    harnesses = [
        RouteHarness(clock, ContextTooLong(), model=model, context_tokens=window)
        for model, window in windows.items()
    ]
    await read_answer(falling_back(clock, *harnesses), a_chat_context(clock))
    assert [harness.calls for harness in harnesses] == [1, 0, 1]


@pytest.mark.seen("B6")
@pytest.mark.parametrize(
    ("first", "second", "is_asked"),
    [
        ((1_000, "x"), (None, "y"), True),
        ((None, "x"), (1_000, "y"), True),
        ((None, "x"), (None, "y"), True),
        ((None, "gpt"), (None, "openai/gpt"), False),
        ((None, "gpt"), (1_000, "openai/GPT"), False),
        ((1_000, "openai/gpt"), (None, "gpt"), False),
        ((1_000, "gpt"), (2_000, "openai/gpt"), True),
    ],
)
async def test_a_window_that_is_not_known_may_be_large_enough_unless_it_is_the_same_model_s(
    clock: FakeClock,
    first: tuple[int | None, str],
    second: tuple[int | None, str],
    is_asked: bool,
) -> None:
    harnesses = [
        RouteHarness(clock, script, model=model, context_tokens=window, upstream=upstream)
        for script, model, (window, upstream) in (
            (ContextTooLong(), "a", first),
            ("yes", "b", second),
        )
    ]
    heard = await read_answer(falling_back(clock, *harnesses), a_chat_context(clock))
    assert [harness.calls for harness in harnesses] == [1, int(is_asked)]
    assert isinstance(heard.error, type(None) if is_asked else ContextTooLong)


@pytest.mark.seen("B6")
async def test_after_an_unknown_window_a_smaller_one_than_was_refused_is_not_asked(
    clock: FakeClock,
) -> None:
    windows = {"a": 2_000, "b": None, "c": 1_000, "d": 3_000}
    harnesses = [
        RouteHarness(clock, ContextTooLong(), model=model, context_tokens=window)
        for model, window in windows.items()
    ]
    await read_answer(falling_back(clock, *harnesses), a_chat_context(clock))
    assert [harness.calls for harness in harnesses] == [1, 1, 0, 1]


@pytest.mark.seen("B10")
@pytest.mark.parametrize(
    ("asked", "limits", "sent"),
    [
        (20_000, (64_000, 8_192), (20_000, 8_192)),
        (20_000, (64_000, None), (20_000, 20_000)),
        (20_000, (None, 8_192), (20_000, 8_192)),
        (5_000, (64_000, 8_192), (5_000, 5_000)),
        (None, (64_000, 8_192), (None, None)),
    ],
)
async def test_each_route_is_asked_for_no_more_output_than_its_model_gives(
    clock: FakeClock,
    asked: int | None,
    limits: tuple[int | None, int | None],
    sent: tuple[int | None, int | None],
) -> None:
    first = RouteHarness(clock, DOWN, retry=NO_RETRY, max_output_tokens=limits[0])
    second = RouteHarness(clock, "yes", model="b", max_output_tokens=limits[1])
    prompt = Prompt.from_text("Why?", max_output_tokens=asked)
    heard = await read_answer(falling_back(clock, first, second), a_chat_context(clock), prompt)
    assert heard.text == "yes"
    assert tuple(harness.llm.asked[0].max_output_tokens for harness in (first, second)) == sent


async def test_a_smaller_window_does_not_hide_that_the_larger_one_is_down(clock: FakeClock) -> None:
    first = RouteHarness(clock, DOWN, retry=NO_RETRY, context_tokens=2_000)
    second = RouteHarness(clock, ContextTooLong(), model="b", context_tokens=1_000)
    assert (
        await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    ).error is DOWN


async def test_it_says_whether_somebody_else_could_still_be_asked(clock: FakeClock) -> None:
    seen: list[bool] = []

    class Curious(ScriptedLLM):
        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            seen.append(context.has_fallback)
            return super().stream(prompt, context)

    first = RouteHarness(clock, inner=Curious(LLMTimeout()))
    second = RouteHarness(clock, model="b", inner=Curious("yes"))
    await read_answer(falling_back(clock, first, second), a_chat_context(clock))
    assert seen == [True, False]
    seen.clear()
    third = RouteHarness(clock, "yes", model="c")
    down = RouteHarness(clock, inner=Curious(DOWN, DOWN))
    second = RouteHarness(clock, model="b", inner=Curious("yes"))
    await read_answer(falling_back(clock, down, second, third), a_chat_context(clock))
    assert seen == [
        True,
        True,
        True,
    ]  # the third route is behind the second, with a call of its own
    seen.clear()
    down = RouteHarness(clock, inner=Curious(DOWN, DOWN))
    second = RouteHarness(clock, model="b", inner=Curious(DOWN))
    await read_answer(
        falling_back(clock, down, second, third, attempts_per_turn=2), a_chat_context(clock)
    )
    assert seen == [True, False]  # the second call is the last, whoever else there is
    seen.clear()
    resting = RouteHarness(clock, LLMRateLimited(retry_after_seconds=30.0), model="c")
    await read_answer(resting.route.once, a_chat_context(clock))
    await read_answer(falling_back(clock, first, resting), a_chat_context(clock))
    assert seen == [False]


async def test_a_closed_route_is_passed_over_without_a_call_or_an_attempt(clock: FakeClock) -> None:
    first = RouteHarness(clock, DOWN, breaker=OPENS_AT_ONCE)
    second = RouteHarness(clock, "yes", "yes", model="b")
    chain = falling_back(clock, first, second)
    await read_answer(chain, a_chat_context(clock))
    context = a_chat_context(clock)
    heard = await read_answer(chain, context)
    assert (heard.text, heard.voices, first.calls) == ("yes", ["b"], 1)
    assert [attempt.model for attempt in context.attempts] == ["b"]


async def final_error(
    clock: FakeClock, *harnesses: RouteHarness, **context: float
) -> DomainError | None:
    return (
        await read_answer(falling_back(clock, *harnesses), a_chat_context(clock, **context))
    ).error  # type: ignore[arg-type]


async def test_when_every_call_failed_the_last_failure_is_told(clock: FakeClock) -> None:
    failure = LLMUnavailable(connection_broke=True)
    harnesses = RouteHarness(clock, LLMTimeout()), RouteHarness(clock, failure, failure, model="b")
    error = await final_error(clock, *harnesses)
    assert error is failure
    assert error.code == "providers-failed"


async def test_when_the_last_failure_was_a_timeout_it_is_a_timeout(clock: FakeClock) -> None:
    first = RouteHarness(clock, DOWN, breaker=OPENS_AT_ONCE)
    second = RouteHarness(clock, LLMTimeout(), model="b", breaker=OPENS_AT_ONCE)
    assert isinstance(await final_error(clock, first, second), LLMTimeout)
    assert first.route.closed_for_seconds()
    assert second.route.closed_for_seconds()


async def test_when_no_time_was_left_to_ask_who_could_answer_it_is_a_timeout(
    clock: FakeClock,
) -> None:
    first = RouteHarness(clock, DOWN, breaker=OPENS_AT_ONCE)
    await read_answer(first.route.once, a_chat_context(clock))
    error = await final_error(clock, first, RouteHarness(clock, "yes", model="b"), seconds=1.9)
    assert isinstance(error, LLMTimeout)
    assert error.caller_deadline_was_shorter


async def test_a_larger_window_that_rests_is_waited_for(clock: FakeClock) -> None:
    first = RouteHarness(clock, ContextTooLong(), context_tokens=1_000)
    second = RouteHarness(clock, DOWN, model="b", context_tokens=2_000, breaker=OPENS_AT_ONCE)
    await read_answer(second.route.once, a_chat_context(clock))
    error = await final_error(clock, first, second)
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == pytest.approx(10.0)


async def test_a_refusal_that_no_door_knows_of_is_told_with_a_second(clock: FakeClock) -> None:
    error = await final_error(clock, RouteHarness(clock, NoRoute(retry_after_seconds=5.0)))
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == 1.0


async def test_a_failed_call_says_more_than_a_full_bulkhead(clock: FakeClock) -> None:
    full = ProviderConcurrencyLimit(0)
    first, second = (
        RouteHarness(clock, DOWN, DOWN),
        RouteHarness(clock, "no", model="b", concurrency=full),
    )
    assert await final_error(clock, first, second) is DOWN


@pytest.mark.seen("B15")
async def test_while_every_route_rests_from_a_rate_limit_the_soonest_is_told(
    clock: FakeClock,
) -> None:
    limited = LLMRateLimited(http_status=429)
    for_long = LLMRateLimited(http_status=429, retry_after_seconds=30.0)
    error = await final_error(
        clock, RouteHarness(clock, for_long), RouteHarness(clock, limited, limited, model="b")
    )
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == pytest.approx(2.0)
    healthy_again = RouteHarness(clock, DOWN, DOWN, model="b")
    assert await final_error(clock, RouteHarness(clock, limited), healthy_again) is DOWN


async def test_when_every_route_is_closed_the_soonest_opening_is_told(clock: FakeClock) -> None:
    first = RouteHarness(clock, LLMRateLimited(retry_after_seconds=30.0))
    second = RouteHarness(clock, DOWN, model="b", breaker=OPENS_AT_ONCE)
    for _ in range(2):  # closed by this very call, and closed before it
        error = await final_error(clock, first, second)
        assert isinstance(error, NoRoute)
        assert error.retry_after_seconds == pytest.approx(10.0)
    assert (first.calls, second.calls) == (1, 1)


async def test_unavailable_with_a_delay_cools_every_route(clock: FakeClock) -> None:
    harnesses = [
        RouteHarness(clock, LLMUnavailable(http_status=503, retry_after_seconds=7.0), model=model)
        for model in "ab"
    ]
    error = await final_error(clock, *harnesses)
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == pytest.approx(7.0)
    assert clock.slept == []


@pytest.mark.parametrize(("asked_seconds", "told_seconds"), [(0.3, 1.0), (3600.0, 60.0)])
async def test_the_wait_that_is_told_is_a_second_to_a_minute(
    clock: FakeClock, asked_seconds: float, told_seconds: float
) -> None:
    failure = LLMRateLimited(retry_after_seconds=asked_seconds)
    error = await final_error(clock, RouteHarness(clock, failure, retry=NO_RETRY))
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == told_seconds


async def test_a_route_that_is_left_out_by_the_caller_does_not_open_the_door(
    clock: FakeClock,
) -> None:
    first = RouteHarness(clock, DOWN, breaker=OPENS_AT_ONCE)
    second = RouteHarness(clock, "yes", model="b")
    chain = falling_back(clock, first, second)
    error = (await read_answer(chain, a_chat_context(clock, may_fall_back=False))).error
    assert isinstance(error, NoRoute)


async def test_a_bad_key_is_told_only_when_nothing_else_may_answer(clock: FakeClock) -> None:
    bad_key = LLMMisconfigured(http_status=401)
    alone = RouteHarness(clock, bad_key)
    for _ in range(2):  # by the provider, and by its breaker afterwards
        assert isinstance(await final_error(clock, alone), LLMMisconfigured)
    assert alone.calls == 1
    both = (
        RouteHarness(clock, bad_key),
        RouteHarness(clock, LLMMisconfigured(http_status=402), model="b"),
    )
    assert isinstance(await final_error(clock, *both), LLMMisconfigured)
    with_another = RouteHarness(clock, bad_key), RouteHarness(clock, DOWN, DOWN, model="b")
    assert await final_error(clock, *with_another) is DOWN
    while_another_rests = (
        RouteHarness(clock, bad_key),
        RouteHarness(clock, DOWN, model="b", breaker=OPENS_AT_ONCE),
    )
    error = await final_error(clock, *while_another_rests)
    assert isinstance(error, NoRoute)
    assert error.retry_after_seconds == pytest.approx(10.0)


async def test_a_full_bulkhead_means_the_next_route_and_with_none_left_overload(
    clock: FakeClock,
) -> None:
    go_on = asyncio.Event()
    full, room = ProviderConcurrencyLimit(1), ProviderConcurrencyLimit(1)
    first = RouteHarness(clock, [go_on, "one"], concurrency=full)
    second = RouteHarness(clock, [go_on, "two"], model="b", concurrency=room)
    chain = falling_back(clock, first, second)
    answers = [asyncio.create_task(read_answer(chain, a_chat_context(clock))) for _ in range(2)]
    while not (first.calls and second.calls):
        await asyncio.sleep(0)
    assert isinstance((await read_answer(chain, a_chat_context(clock))).error, Overloaded)
    go_on.set()
    assert [(await answer).text for answer in answers] == ["one", "two"]
    assert (full.in_flight, room.in_flight) == (0, 0)


async def test_who_leaves_is_not_answered_by_somebody_else(clock: FakeClock) -> None:
    silence = asyncio.Event()
    first, second = RouteHarness(clock, [silence]), RouteHarness(clock, "yes", model="b")
    context = a_chat_context(clock)
    reading = asyncio.create_task(read_answer(falling_back(clock, first, second), context))
    while not first.calls:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (first.llm.hung_up, second.calls) == (1, 0)
    assert [attempt.outcome for attempt in context.attempts] == ["cancelled"]
    assert first.concurrency.in_flight == 0


async def test_half_of_all_calls_failing_makes_no_storm_of_both(clock: FakeClock) -> None:
    requests = 2_000
    flaky = [DOWN if n % 2 else "yes" for n in range(3 * requests)]
    first, second = RouteHarness(clock, *flaky), RouteHarness(clock, *["yes"] * requests, model="b")
    chain = falling_back(clock, first, second)
    for _ in range(requests):
        assert (await read_answer(chain, a_chat_context(clock))).text == "yes"
        clock.advance(0.005)
    assert first.calls + second.calls <= 1.25 * requests


@pytest.mark.parametrize(("down_seconds", "most_calls"), [(30, 6), (60, 8)])
async def test_a_provider_that_is_down_is_left_alone_and_asked_again_soon_after(
    clock: FakeClock, down_seconds: int, most_calls: int
) -> None:
    class Patient(ScriptedLLM):
        is_down = True

        def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            self._script.append(DOWN if self.is_down else "a")
            return super().stream(prompt, context)

    patient = Patient(provider="p", model="a")
    second = RouteHarness(clock, *["b"] * 100, model="b")
    chain = falling_back(clock, RouteHarness(clock, inner=patient), second)
    for _ in range(0, down_seconds, 4):  # a question every four seconds
        assert (await read_answer(chain, a_chat_context(clock))).text == "b"
        clock.advance(4.0)
    assert len(patient.asked) <= most_calls
    patient.is_down = False
    waited_seconds = 0.0
    while (await read_answer(chain, a_chat_context(clock))).text != "a":
        clock.advance(4.0)
        waited_seconds += 4.0
    assert waited_seconds <= 30.0


async def test_pieces_that_nothing_here_knows_are_handed_on(clock: FakeClock) -> None:
    class Sign:
        """Something that a provider tells besides text."""

    sign = Sign()

    class Telling(ScriptedLLM):
        async def stream(self, prompt, context):  # type: ignore[no-untyped-def]
            async with aclosing(super().stream(prompt, context)) as pieces:
                async for piece in pieces:
                    yield sign
                    yield piece

    telling = Telling("yes", provider="p", model="a")
    bounded = Deadline(
        telling,
        clock=clock,
        first_token_seconds=12.0,
        first_token_share=0.6,
        min_attempt_seconds=2.0,
        idle_seconds=15.0,
    )
    for is_streamed in (False, True):
        heard = await read_answer(
            falling_back(clock, RouteHarness(clock, inner=bounded)),
            a_chat_context(clock, is_streamed=is_streamed),
        )
        assert heard.error is None
        assert sum(piece is sign for piece in heard.pieces) == 3  # type: ignore[comparison-overlap]

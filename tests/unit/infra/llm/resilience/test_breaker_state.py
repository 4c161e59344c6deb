"""When a route is left alone, and how it is let back in."""

import logging
from random import Random

import pytest

from infra.llm.resilience.breaker_state import Breaker, BreakerPolicy, Permit
from infra.llm.resilience.route_health import RouteState
from tests.fakes.clock import START_MILLISECONDS, FakeClock

ATTEMPT_SECONDS = 12.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def a_breaker(clock: FakeClock, policy: BreakerPolicy | None = None, seed: int = 1) -> Breaker:
    return Breaker("p a", policy or BreakerPolicy(jitter=0.0), clock, Random(seed))


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit(ATTEMPT_SECONDS)
    assert permit is not None
    return permit


def refuses(breaker: Breaker) -> bool:
    return breaker.admit(ATTEMPT_SECONDS) is None


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.succeed(admitted(breaker))


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.fail(admitted(breaker))


def test_five_failures_in_a_row_open_it(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    fail(breaker, 4)
    assert not refuses(breaker)
    fail(breaker)
    assert refuses(breaker)


def test_an_answer_in_between_starts_the_row_anew(clock: FakeClock) -> None:
    breaker = a_breaker(clock, BreakerPolicy(failure_ratio=2.0))
    for _ in range(10):
        fail(breaker, 4)
        succeed(breaker)
    assert not refuses(breaker)


def test_half_of_ten_calls_open_it(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    for _ in range(4):
        succeed(breaker)
        fail(breaker)
    succeed(breaker)
    assert not refuses(breaker)
    fail(breaker)
    assert refuses(breaker)


def test_less_than_half_leaves_it_closed(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    for _ in range(200):
        succeed(breaker, 2)
        fail(breaker)
    assert not refuses(breaker)


def test_what_failed_long_ago_no_longer_counts(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    for _ in range(4):
        fail(breaker)
        succeed(breaker)
    clock.advance(32.0)
    succeed(breaker, 9)
    fail(breaker)
    assert not refuses(breaker)


def test_each_failed_probe_leaves_it_open_for_longer_up_to_the_cap(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    fail(breaker, 5)
    lengths = []
    for _ in range(5):
        lengths.append(breaker.closed_for_seconds())
        clock.advance(lengths[-1] - 0.01)
        assert refuses(breaker)
        clock.advance(0.02)
        fail(breaker)
    assert lengths == pytest.approx([10.0, 12.0, 15.0, 15.0, 15.0])


def test_openings_of_another_length_grow_alike_up_to_their_cap(clock: FakeClock) -> None:
    breaker = a_breaker(clock, BreakerPolicy(open_seconds=20.0, open_cap_seconds=60.0, jitter=0.0))
    fail(breaker, 5)
    lengths = []
    for _ in range(7):
        lengths.append(breaker.closed_for_seconds())
        clock.advance(lengths[-1])
        fail(breaker)
    assert lengths == pytest.approx([20.0, 24.0, 30.0, 37.5, 46.875, 58.59375, 60.0])


@pytest.mark.slow
@pytest.mark.seen("B14")
def test_an_outage_of_days_is_survived(clock: FakeClock) -> None:
    breaker = a_breaker(clock, BreakerPolicy(open_cap_seconds=1e300))
    fail(breaker, 5)
    for _ in range(20_000):
        clock.seconds += breaker.closed_for_seconds()
        fail(breaker)
    breaker = a_breaker(clock)
    fail(breaker, 5)
    for _ in range(20_000):
        clock.advance(breaker.closed_for_seconds())
        fail(breaker)
    assert breaker.closed_for_seconds() <= 15.0


@pytest.mark.seen("B14")
@pytest.mark.parametrize("every_seconds", [1.0, 4.0])
def test_a_provider_that_is_back_is_used_again_soon_however_long_it_was_away(
    clock: FakeClock, every_seconds: float
) -> None:
    """Within 15 s of its return; where questions are rarer than that needs, with the first one after that time."""
    for down_seconds in range(20, 400):
        breaker = a_breaker(clock, BreakerPolicy(), seed=down_seconds)
        asked_at = clock.monotonic()
        back_at = asked_at + down_seconds
        while (permit := breaker.admit(ATTEMPT_SECONDS)) is None or asked_at < back_at:
            if permit is not None:
                breaker.fail(permit)
            clock.advance(every_seconds)
            asked_at += every_seconds
        assert asked_at - back_at < 15.0 + (every_seconds if every_seconds > 1 else 0.0)
        breaker.succeed(permit)


@pytest.mark.seen("B14")
def test_openings_are_shorter_by_a_fifth_at_most_and_never_longer(clock: FakeClock) -> None:
    lengths = []
    for seed in range(200):
        breaker = a_breaker(clock, BreakerPolicy(), seed)
        fail(breaker, 5)
        lengths.append(breaker.closed_for_seconds())
    assert 8.0 <= min(lengths) < 8.2
    assert 9.8 < max(lengths) <= 10.0


def half_open(clock: FakeClock, policy: BreakerPolicy | None = None) -> Breaker:
    breaker = a_breaker(clock, policy)
    fail(breaker, 5)
    clock.advance(breaker.closed_for_seconds())
    return breaker


def test_one_probe_at_a_time_goes_through_a_half_open_one(clock: FakeClock) -> None:
    breaker = half_open(clock)
    probe = admitted(breaker)
    assert all(refuses(breaker) for _ in range(100))
    breaker.succeed(probe)
    second = admitted(breaker)
    assert all(refuses(breaker) for _ in range(100))
    breaker.succeed(second)
    assert not any(refuses(breaker) for _ in range(100))


def test_one_failed_probe_opens_it_again(clock: FakeClock) -> None:
    breaker = half_open(clock)
    succeed(breaker)
    fail(breaker)
    assert refuses(breaker)
    assert breaker.closed_for_seconds() == pytest.approx(12.0)


def test_once_closed_it_has_forgotten_everything(clock: FakeClock) -> None:
    breaker = half_open(clock)
    succeed(breaker, 2)
    succeed(breaker, 5)
    fail(breaker, 4)
    assert not refuses(breaker)
    fail(breaker)
    assert breaker.closed_for_seconds() == pytest.approx(10.0)


def test_the_probes_of_an_earlier_opening_do_not_help_to_close_this_one(clock: FakeClock) -> None:
    breaker = half_open(clock)
    succeed(breaker)
    fail(breaker)
    clock.advance(breaker.closed_for_seconds())
    succeed(breaker)
    assert breaker.closure() is not None


def test_a_probe_that_says_nothing_for_or_against_makes_room_for_the_next(
    clock: FakeClock,
) -> None:
    breaker = half_open(clock)
    for _ in range(100):
        probe = admitted(breaker)
        assert refuses(breaker)
        breaker.release(probe)
    succeed(breaker, 2)
    assert breaker.closure() is None


def test_a_lost_probe_never_blocks_recovery(clock: FakeClock) -> None:
    for _ in range(100):
        breaker = half_open(clock)
        admitted(breaker)  # and never heard of again
        clock.advance(ATTEMPT_SECONDS + 4.99)
        assert refuses(breaker)
        clock.advance(0.02)
        succeed(breaker, 2)
        assert breaker.closure() is None


def test_late_news_of_a_lost_probe_still_counts(clock: FakeClock) -> None:
    breaker = half_open(clock)
    slow = admitted(breaker)
    clock.advance(ATTEMPT_SECONDS + 5.0)
    second = admitted(breaker)
    breaker.succeed(slow)
    assert refuses(breaker)  # the second probe's lease is untouched
    breaker.succeed(second)
    assert breaker.closure() is None


def test_calls_let_in_before_it_opened_change_nothing_afterwards(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    old = [admitted(breaker) for _ in range(20)]
    fail(breaker, 5)
    for permit in old[:10]:
        breaker.fail(permit)
    assert breaker.closed_for_seconds() == pytest.approx(10.0)
    clock.advance(10.0)
    probe = admitted(breaker)
    breaker.succeed(old[10])
    breaker.fail(old[11])
    breaker.misconfigure(old[12])
    breaker.release(old[13])
    assert refuses(breaker)
    breaker.succeed(probe)
    assert breaker.closure() is not None
    succeed(breaker)
    for permit in old[14:]:
        breaker.fail(permit)
    assert breaker.closure() is None


def test_a_refused_key_opens_it_for_five_minutes_and_raises_one_alarm(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = a_breaker(clock)
    permits = [admitted(breaker) for _ in range(10)]
    with caplog.at_level(logging.WARNING):
        for permit in permits:
            breaker.misconfigure(permit)
    assert breaker.closed_for_seconds() == 300.0
    assert breaker.is_misconfigured
    assert [(r.levelname, "p a" in r.getMessage()) for r in caplog.records] == [("ERROR", True)]
    clock.advance(300.0)
    succeed(breaker, 2)
    assert not breaker.is_misconfigured


@pytest.mark.seen("F4")
def test_a_refusal_that_may_concern_one_call_opens_nothing_until_five_come_in_a_row(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = a_breaker(clock)

    def refuse(times: int) -> None:
        for _ in range(times):
            breaker.misconfigure(admitted(breaker), may_concern_one_call=True)

    with caplog.at_level(logging.WARNING):
        refuse(4)
        succeed(breaker)
        refuse(4)
        assert breaker.closure() is None
        refuse(1)
    assert breaker.closed_for_seconds() == 300.0
    assert breaker.is_misconfigured
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert len(caplog.records) == 9
    clock.advance(300.0)
    refuse(1)  # no news: it is still so
    assert breaker.closed_for_seconds() == 300.0
    clock.advance(300.0)
    succeed(breaker, 2)
    refuse(4)
    assert breaker.closure() is None


def test_a_probe_that_may_be_refused_for_itself_makes_room_for_the_next(clock: FakeClock) -> None:
    breaker = half_open(clock)
    breaker.misconfigure(admitted(breaker), may_concern_one_call=True)
    succeed(breaker, 2)
    assert breaker.closure() is None


def test_openings_for_a_bad_key_do_not_make_later_ones_longer(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    breaker.misconfigure(admitted(breaker))
    clock.advance(300.0)
    succeed(breaker, 2)
    fail(breaker, 5)
    assert breaker.closed_for_seconds() == pytest.approx(10.0)


def test_it_tells_its_state_and_since_when_it_is_not_well(clock: FakeClock) -> None:
    breaker = a_breaker(clock)
    assert (breaker.closure(), breaker.closed_for_seconds()) == (None, 0.0)
    clock.advance(1.0)
    fail(breaker, 5)
    told = [breaker.closure()]
    clock.advance(10.0)
    assert breaker.closed_for_seconds() == 0.0
    probe = admitted(breaker)
    told.append(breaker.closure())
    assert breaker.closed_for_seconds() == 1.0
    breaker.misconfigure(probe)
    told.append(breaker.closure())
    states = [closure.state for closure in told if closure]
    assert states == [RouteState.OPEN, RouteState.HALF_OPEN, RouteState.MISCONFIGURED]
    assert {c.since_milliseconds for c in told if c} == {START_MILLISECONDS + 1_000}
    assert [c.retry_after_seconds for c in told if c] == pytest.approx([10.0, 1.0, 300.0])


def test_opening_and_closing_are_told_once_each(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        breaker = half_open(clock)
        succeed(breaker, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "circuit opened: p a",
        "circuit closed: p a",
    ]

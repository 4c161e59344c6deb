"""Outages: of everybody, of half the calls, and of one provider for a minute."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from infra.selftest.fault import WHOLE_TEXT
from infra.selftest.faults import FAULTS
from tests.faults.fault_scenario import FaultScenario, running_scenario
from tests.faults.load import asked_at_rate, cpu_seconds
from tests.faults.pace import SCALED, SHIPPED
from tests.faults.routes import WIRES, behind, upstream

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

MOST_SHARE_OF_CALLS = 1.25
MOST_REQUESTS_IN_OUTAGE = 7
"""Three until the circuit opens on the fifth failed call, then one probe after each of four openings."""
STORMS = {"scaled": (3.0, ["safe"]), "shipped": (60.0, ["safe", "both", "standby"])}
"""For how many seconds, and with whom behind: a healthy model, one that fails as often, nobody."""
MOST_CALLS_WHEN_FLAPPING = 7
"""Five until the circuit opens, and two probes at the most: the next one finds it up again."""
OUTAGES = {"scaled": (3.0, 0.2, 1.5), "shipped": (60.0, 4.0, 30.0)}
"""How long a minute is, how often it is asked, by when the circuit has to be closed again; in seconds."""
MOST_BACK_SECONDS = {"scaled": 1.2, "shipped": 19.5}
"""By when it is in use again: the longest opening, the time to the next question, and some for the machine."""


@pytest.fixture(
    scope="module", params=[SCALED, pytest.param(SHIPPED, marks=pytest.mark.faults)], ids=str
)
def scenario(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultScenario]:
    faults = ["503", "503-after-7s", "503-half-the-time", "outage", "flapping"]
    with running_scenario(tmp_path_factory.mktemp("outage"), faults, request.param) as scenario:
        yield scenario


@pytest.mark.parametrize("wire", WIRES)
def test_when_all_are_down_the_caller_is_told_soon_and_when_to_come_back(
    scenario: FaultScenario, wire: str, figure: Callable[[str], None]
) -> None:
    result = scenario.ask(f"{wire}-503-after-7s-both")
    figure(
        f"both down, Retry-After 7, {wire}, {scenario.pace}: {result.status} after {result.seconds:.2f} s,"
        f" Retry-After {result.retry_after_seconds}"
    )
    assert (result.status, result.slug) == (503, "providers-unavailable")
    assert result.retry_after_seconds is not None
    assert 1 <= result.retry_after_seconds <= 7
    assert result.seconds <= 5.0
    assert result.outcomes == [(wire, "unavailable"), (behind(wire), "unavailable")]
    assert result.kept["status"] == "failed"


@pytest.mark.parametrize("wire", WIRES)
def test_when_all_stay_down_502_becomes_503_once_every_route_is_open(
    scenario: FaultScenario, wire: str, figure: Callable[[str], None]
) -> None:
    statuses = []
    for _ in range(10):
        result = scenario.ask(f"{wire}-503-both")
        statuses.append(result.status)
        assert result.seconds <= 5.0
        assert result.kept["status"] == "failed"
        assert result.retry_after_seconds is not None
        assert 1 <= result.retry_after_seconds <= 60
        if result.status == 503:
            assert result.slug == "providers-unavailable"
            break
        assert (result.status, result.slug) == (502, "providers-failed")
    figure(f"both down, {wire}, {scenario.pace}: {statuses}")
    assert statuses[-1] == 503


def test_half_the_calls_failing_makes_no_storm(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    seconds, ways = STORMS[str(scenario.pace)]
    for way in ways:
        user = f"storm-{way}"
        model = f"gem-503-half-the-time-{way}"
        calls_before = len(scenario.provider.calls)
        cpu_before, before = cpu_seconds(scenario.service), time.monotonic()
        answers = asked_at_rate(scenario.service, model, user, per_second=200, seconds=seconds)
        cores = (cpu_seconds(scenario.service) - cpu_before) / (time.monotonic() - before)
        calls = len(scenario.provider.calls) - calls_before
        answered = sum(one.status == 200 for one in answers)
        figure(
            f"50 % errors at 200 a second, {way}, {scenario.pace}: {len(answers)} requests,"
            f" {answered} answered, {calls} calls ({calls / len(answers):.3f} each), {cores:.2f} cores"
        )
        kept = scenario.kept_of(user)
        outcomes = Counter(
            f"{attempt['provider']} {attempt['outcome']}"
            for one in kept
            for attempt in one["attempts"]
        )
        figure(f"    {dict(outcomes)}")
        assert calls <= MOST_SHARE_OF_CALLS * len(answers)
        assert {one.status for one in answers} <= ({200} if way == "safe" else {200, 502, 503})
        assert len(kept) == len(answers)
        assert sum(one["status"] == "completed" for one in kept) == answered
        assert all(one["response"] in ("", WHOLE_TEXT) for one in kept)
        assert sum(len(one["attempts"]) for one in kept) == calls


@pytest.mark.seen("B14")
def test_a_provider_that_is_down_for_a_minute_is_left_alone_and_found_again(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    with ThreadPoolExecutor(len(WIRES)) as pool:
        outages = list(pool.map(partial(live_through, scenario, "outage", 1.0), WIRES))
    for one in outages:
        figure(f"down for a minute, {scenario.pace}: {one}")
        assert one.tried <= MOST_REQUESTS_IN_OUTAGE
        assert one.back_seconds <= MOST_BACK_SECONDS[str(scenario.pace)]


def test_a_provider_that_flaps_is_hardly_called_while_it_is_down(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    """Half a minute down, half a minute up, and down again: each time it is back in use before it goes."""

    def flap(wire: str) -> list[Outage]:
        return [live_through(scenario, "flapping", 0.5, wire) for _ in range(2)]

    with ThreadPoolExecutor(len(WIRES)) as pool:
        outages = [one for both in pool.map(flap, WIRES) for one in both]
    for one in outages:
        figure(f"down for half a minute, {scenario.pace}: {one}")
        assert one.calls <= MOST_CALLS_WHEN_FLAPPING


@dataclass(kw_only=True)
class Outage:
    """What became of an outage.

    Attributes:
        asked: Questions during it, all of them answered.
        tried: Of these, how many went to the provider that was down.
        calls: How often that was called.
        back_seconds: How long after its return it was in use again.
    """

    wire: str
    asked: int = 0
    tried: int = 0
    calls: int = 0
    back_seconds: float = 0.0


def live_through(scenario: FaultScenario, fault: str, minutes: float, wire: str) -> Outage:
    """Take a provider down, ask all the while, bring it back, and ask until the circuit is closed."""
    minute_seconds, every_seconds, back_seconds = OUTAGES[str(scenario.pace)]
    model = f"{wire}-{fault}-safe"
    name = upstream(model, fault)
    seen = Outage(wire=wire)
    scenario.provider.override[name] = FAULTS["503"]
    started = time.monotonic()
    while time.monotonic() - started < minutes * minute_seconds:
        result = scenario.ask(model)
        assert (result.is_done, result.kept["provider"]) == (True, behind(wire))
        seen.asked += 1
        calls = sum(provider == wire for provider, _ in result.outcomes)
        seen.tried += calls > 0
        seen.calls += calls
        time.sleep(max(0.0, started + seen.asked * every_seconds - time.monotonic()))
    del scenario.provider.override[name]
    up = time.monotonic()
    while model in scenario.degraded():
        result = scenario.ask(model)
        assert result.is_done
        if result.kept["provider"] == wire and not seen.back_seconds:
            seen.back_seconds = time.monotonic() - up
        assert time.monotonic() - up < back_seconds, "not in use again"
        time.sleep(every_seconds)
    return seen

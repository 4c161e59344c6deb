"""Providers that let a caller wait: for the first word, between words, and for ever."""

from collections.abc import Callable
from functools import partial

import pytest

from infra.selftest.fault import WHOLE_TEXT
from tests.faults.fault_scenario import FaultScenario
from tests.faults.routes import WIRES, behind

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

LATE_SECONDS = 1.5
"""By how much a busy machine may be late."""


def test_a_silent_provider_is_called_once_and_the_fallback_answers(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    asks = [
        (wire, partial(scenario.ask, f"{wire}-{fault}-safe", is_streamed=is_streamed))
        for wire in WIRES
        for fault in ("silent", "slow-first-token")
        for is_streamed in (False, True)
    ]
    result = scenario.ask_at_once(*(ask for _, ask in asks))
    for (wire, _), one in zip(asks, result, strict=True):
        assert one.outcomes == [(wire, "timeout"), (behind(wire), "ok")]
        assert (one.is_done, one.text) == (True, WHOLE_TEXT)
    latest = max(one.first_text_seconds or one.seconds for one in result)
    figure(f"silent provider, {scenario.pace}: the fallback's first word within {latest:.2f} s")
    assert latest <= min(17.0, scenario.pace.first_token_seconds + LATE_SECONDS)


def test_a_slow_drip_ends_with_the_time_of_the_whole(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    is_scaled = str(scenario.pace) == "scaled"
    drip = "drip-0.2s" if is_scaled else "drip-10s"
    ways = (False, True) if is_scaled else (False,)  # a whole stream has ten minutes as shipped
    asks = [
        partial(scenario.ask, f"{wire}-{drip}-{way}", is_streamed=is_streamed)
        for wire in WIRES
        for way in ("safe", "standby")
        for is_streamed in ways
    ]
    for one in scenario.ask_at_once(*asks):
        figure(f"{drip}, {scenario.pace}: ended after {one.seconds:.2f} s, {one.kept['status']}")
        assert one.slug == "provider-timeout"
        assert one.kept["status"] == "truncated"
        assert set(one.kept["response"].split()) == {"drop"}
        assert [outcome for _, outcome in one.outcomes] == ["timeout"]
        whole_seconds = (
            scenario.pace.stream_total_seconds
            if one.status == 200
            else scenario.pace.request_timeout_seconds - 1.0
        )
        assert one.status in (200, 504)
        assert whole_seconds <= one.seconds <= whole_seconds + LATE_SECONDS


def test_a_drip_slower_than_the_idle_limit_ends_there(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    drip = "drip-2s" if str(scenario.pace) == "scaled" else "drip-20s"
    asks = [
        partial(scenario.ask, f"{wire}-{drip}", is_streamed=is_streamed)
        for wire in WIRES
        for is_streamed in (False, True)
    ]
    for one in scenario.ask_at_once(*asks):
        figure(f"{drip}, {scenario.pace}: ended after {one.seconds:.2f} s, {one.kept['status']}")
        assert one.slug == "provider-timeout"
        assert (one.kept["status"], one.kept["response"]) == ("truncated", "drop ")
        assert abs(one.seconds - scenario.pace.idle_seconds) <= 1.0


def test_the_callers_time_bounds_everything(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> None:
    budget_seconds = 3.0 if str(scenario.pace) == "scaled" else 5.0
    asks = [
        partial(scenario.ask, f"{wire}-late-59s-{way}", timeout_seconds=budget_seconds)
        for wire in WIRES
        for way in ("standby", "both")
    ]
    for one in scenario.ask_at_once(*asks):
        figure(
            f"{budget_seconds} s to answer, {len(one.calls)} asked, {scenario.pace}: 504 after {one.seconds:.2f} s"
        )
        assert (one.status, one.slug) == (504, "provider-timeout")
        assert one.kept["status"] == "failed"
        assert budget_seconds - 1.0 <= one.seconds <= budget_seconds + 0.25

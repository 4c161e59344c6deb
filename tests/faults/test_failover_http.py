"""The sixteen faults of the Failover Bench over HTTP, in either format, with what history keeps of each."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from infra.selftest.cases import CASES, PRIMARY, STANDBY, Case
from tests.faults.fault_scenario import ChatResult, FaultScenario, running_scenario
from tests.faults.pace import SCALED, SHIPPED
from tests.faults.routes import WIRES, behind

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

BOTH = [(case, wire) for case in CASES for wire in WIRES]
STATUSES = {
    "content-blocked": 422,
    "context-too-long": 422,
    "provider-timeout": 504,
    "providers-failed": 502,
}


@pytest.fixture(
    scope="module", params=[SCALED, pytest.param(SHIPPED, marks=pytest.mark.faults)], ids=str
)
def scenario(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultScenario]:
    faults = sorted({case.fault for case in CASES})
    with running_scenario(tmp_path_factory.mktemp("bench"), faults, request.param) as scenario:
        yield scenario


@pytest.fixture(scope="module")
def outcomes(
    scenario: FaultScenario, figure: Callable[[str], None]
) -> dict[tuple[str, str], ChatResult]:
    """All of them, asked at once: most are waiting."""
    result = scenario.ask_at_once(*(partial(ask, scenario, case, wire) for case, wire in BOTH))
    for (case, wire), one in zip(BOTH, result, strict=True):
        figure(
            f"{case.title}, {wire}, {scenario.pace}: {len(one.attempts)} calls, {one.seconds:.2f} s"
        )
    return {(case.title, wire): one for (case, wire), one in zip(BOTH, result, strict=True)}


def ask(scenario: FaultScenario, case: Case, wire: str) -> ChatResult:
    way = "" if case.is_alone else "-goes-on" if case.continues else "-safe"
    return scenario.ask(f"{wire}-{case.fault}{way}", is_streamed=case.is_streamed)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_each_fault_is_handled_as_promised(
    outcomes: dict[tuple[str, str], ChatResult], case: Case, wire: str
) -> None:
    result = outcomes[case.title, wire]
    at_primary = sum(not provider.startswith(behind(wire)) for provider, _ in result.outcomes)
    assert result.text == case.text
    assert 1 <= at_primary <= case.most_attempts
    assert result.seconds >= case.least_seconds
    if case.expected in (PRIMARY, STANDBY):
        provider = wire if case.expected == PRIMARY else behind(wire)
        assert (result.is_done, result.kept["provider"]) == (True, provider)
        assert result.kept["fallbackUsed"] == (case.expected == STANDBY)
    else:
        assert result.slug == case.expected
        assert result.status == (200 if result.text else STATUSES[case.expected])


def test_the_metrics_count_every_attempt(
    scenario: FaultScenario, outcomes: dict[tuple[str, str], ChatResult]
) -> None:
    attempts, retries, fallbacks = Counter[str](), Counter[str](), Counter[str]()
    for result in outcomes.values():
        asked: list[str] = []
        for attempt in result.attempts:
            model = attempt["model"]
            attempts[attempt["outcome"]] += 1
            if model in asked:
                retries[model] += 1
            elif model != result.kept["requestedModel"]:
                fallbacks[model] += 1
            asked.append(model)
    assert {
        model: n for (model, _), n in scenario.metrics("rt_route_retries_total").items()
    } == retries
    found = scenario.metrics("rt_route_fallbacks_total")
    assert {model: n for (model, _), n in found.items()} == fallbacks
    measured: Counter[str] = Counter()
    for labels, count in scenario.metrics("gen_ai_client_operation_duration_seconds_count").items():
        measured[labels[0] or "ok"] += round(count)
    assert measured == attempts
    assert scenario.metrics("rt_provider_calls_in_flight") == {}

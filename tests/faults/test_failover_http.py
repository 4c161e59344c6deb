"""The sixteen faults of the Failover Bench over HTTP, in either format, with what history keeps of each."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from infra.selftest.cases import CASES, PRIMARY, STANDBY, Case
from tests.faults.pace import SCALED, SHIPPED
from tests.faults.routes import WIRES, behind
from tests.faults.stage import Stage, Told, on_stage

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
def outcomes(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    figure: Callable[[str], None],
) -> Iterator[dict[tuple[str, str], Told]]:
    """All of them, asked at once: most are waiting."""
    folder = tmp_path_factory.mktemp("bench")
    with on_stage(folder, sorted({case.fault for case in CASES}), request.param) as stage:
        told = stage.ask_at_once(*(partial(ask, stage, case, wire) for case, wire in BOTH))
        for (case, wire), one in zip(BOTH, told, strict=True):
            figure(
                f"{case.title}, {wire}, {stage.pace}: {len(one.attempts)} calls, {one.seconds:.2f} s"
            )
        yield {(case.title, wire): one for (case, wire), one in zip(BOTH, told, strict=True)}


def ask(stage: Stage, case: Case, wire: str) -> Told:
    way = "goes-on" if case.continues else "safe"
    return stage.ask(f"{wire}-{case.fault}-{way}", is_streamed=case.is_streamed)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_each_fault_is_handled_as_promised(
    outcomes: dict[tuple[str, str], Told],
    case: Case,
    wire: str,
) -> None:
    told = outcomes[case.title, wire]
    at_primary = sum(not provider.startswith(behind(wire)) for provider, _ in told.outcomes)
    assert told.text == case.text
    assert 1 <= at_primary <= case.most_attempts
    assert told.seconds >= case.least_seconds
    if case.expected in (PRIMARY, STANDBY):
        provider = wire if case.expected == PRIMARY else behind(wire)
        assert (told.is_done, told.kept["provider"]) == (True, provider)
        assert told.kept["fallbackUsed"] == (case.expected == STANDBY)
    else:
        assert told.slug == case.expected
        assert told.status == (200 if told.text else STATUSES[case.expected])

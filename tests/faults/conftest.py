"""Figures that tests measure, shown at the end of a run in one process (`make faults`); and the stages they share."""

from collections.abc import Callable, Iterator

import pytest

from infra.selftest.faults import FAULTS
from tests.faults.fault_scenario import FaultScenario, running_scenario
from tests.faults.pace import SCALED, SHIPPED, Pace
from tests.faults.routes import REFUSED

_FIGURES = pytest.StashKey[list[str]]()

PATIENT_BREAKER = {
    "BREAKER_CONSECUTIVE_FAILURES": "1000000",
    "BREAKER_MINIMUM_CALLS": "1000000",
}
"""Never leaves a route alone, so that each question really meets its fault."""


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was measured."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(figure)


def _new_scenario(factory: pytest.TempPathFactory, pace: Pace) -> Iterator[FaultScenario]:
    folder = factory.mktemp(f"scenario-{pace}")
    with running_scenario(folder, [*FAULTS, REFUSED], pace, PATIENT_BREAKER) as scenario:
        yield scenario


@pytest.fixture(scope="package")
def scaled_scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    yield from _new_scenario(tmp_path_factory, SCALED)


@pytest.fixture(scope="package")
def shipped_scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    yield from _new_scenario(tmp_path_factory, SHIPPED)


@pytest.fixture(params=["scaled", pytest.param("shipped", marks=pytest.mark.faults)])
def scenario(request: pytest.FixtureRequest) -> FaultScenario:
    """Serves every fault at both paces; the circuit breaker stays closed."""
    found: FaultScenario = request.getfixturevalue(f"{request.param}_scenario")
    return found

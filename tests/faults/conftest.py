"""Figures that tests measure, shown at the end of a run in one process (`make faults`); and the stages they share."""

from collections.abc import Callable, Iterator

import pytest

from infra.selftest.faults import FAULTS
from tests.faults.pace import SCALED, SHIPPED, Pace
from tests.faults.routes import REFUSED
from tests.faults.stage import Stage, on_stage

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


def _stage(factory: pytest.TempPathFactory, pace: Pace) -> Iterator[Stage]:
    folder = factory.mktemp(f"stage-{pace}")
    with on_stage(folder, [*FAULTS, REFUSED], pace, PATIENT_BREAKER) as stage:
        yield stage


@pytest.fixture(scope="package")
def scaled_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from _stage(tmp_path_factory, SCALED)


@pytest.fixture(scope="package")
def shipped_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from _stage(tmp_path_factory, SHIPPED)


@pytest.fixture(params=["scaled", pytest.param("shipped", marks=pytest.mark.faults)])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every fault can be asked for, at both paces; the breaker stays out of it."""
    found: Stage = request.getfixturevalue(f"{request.param}_stage")
    return found

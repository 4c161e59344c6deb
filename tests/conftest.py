"""Set-up of all tests: which are slow, what Hypothesis may take, and whose assertions are explained."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no fault of a strategy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

pytest.register_assert_rewrite("tests.support")

# Browsers, other people's clients, and services that are killed: all of these take seconds.
_SLOW_FOLDERS = {Path(__file__).parent / name for name in ("e2e", "faults")}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests of whole folders as slow."""
    if not _SLOW_FOLDERS.isdisjoint(item.path.parents):
        item.add_marker("slow")


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup() -> None:
    """Skip a test whose turn comes after TESTS_UNTIL, in seconds since 1970: CI has a time limit."""
    until = os.environ.get("TESTS_UNTIL")
    if until and time.time() > float(until):
        pytest.skip("the time of this run is over")

"""`.ci/test` tries a failed test again only if it is marked `realtime`, and only a few; slow tests run while there is time."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.source_files import ROOT

FAILS_ONCE = """
import pathlib
import pytest

def passes_from_the_second_run(name):
    seen = pathlib.Path(name)
    if not seen.exists():
        seen.touch()
        raise AssertionError(name)
"""
SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "--strict-markers -m 'not faults and not slow'"
markers = ["realtime: depends on time", "slow: takes seconds", "faults: long"]
"""

ONLY_XDIST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist"}
"""Loading the other plugins takes a second, several times a test."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the script, this interpreter, and no tests yet."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/test", tmp_path / ".ci/test")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    return tmp_path


def run(
    project: Path, *tests: str, suite: str = "short", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script over a file of these tests, in one process."""
    (project / "tests").mkdir()
    (project / "tests/test_it.py").write_text("\n".join([FAILS_ONCE, *tests]))
    shutil.copy(ROOT / "tests/conftest.py", project / "tests/conftest.py")
    return subprocess.run(
        ["bash", ".ci/test", suite],
        cwd=project,
        env={"PATH": os.environ["PATH"], "TEST_PROCESSES": "0", **ONLY_XDIST, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def flaky(name: str, marker: str = "@pytest.mark.realtime") -> str:
    return f"{marker}\ndef test_{name}():\n    passes_from_the_second_run({name!r})\n"


@pytest.mark.slow
def test_a_realtime_test_that_failed_is_named_and_tried_again(project: Path) -> None:
    ran = run(project, flaky("late"), "def test_well(): pass")
    assert ran.returncode == 0, ran.stdout
    assert (
        "marked realtime: 1 (at most 8 are tried again)\ntests/test_it.py::test_late\n"
        in ran.stdout
    )
    assert ran.stdout.splitlines()[-1].startswith("1 passed")


@pytest.mark.slow
def test_a_realtime_test_that_fails_twice_fails_the_run(project: Path) -> None:
    ran = run(project, "@pytest.mark.realtime\ndef test_broken(): assert False")
    assert ran.returncode == 1


@pytest.mark.slow
def test_any_other_test_that_failed_fails_the_run_without_a_second_try(project: Path) -> None:
    ran = run(project, flaky("late"), flaky("wrong", marker=""))
    assert ran.returncode == 1
    assert ran.stdout.endswith("not marked realtime: 1\ntests/test_it.py::test_wrong\n")


@pytest.mark.slow
def test_too_many_realtime_tests_that_failed_fail_the_run(project: Path) -> None:
    ran = run(project, *(flaky(f"late_{number}") for number in range(3)), MOST_RETRIES="2")
    assert ran.returncode == 1
    assert "marked realtime: 3 (at most 2 are tried again)" in ran.stdout
    assert "passed" not in ran.stdout


@pytest.mark.slow
def test_a_file_that_cannot_be_imported_is_not_tried_again(project: Path) -> None:
    ran = run(project, "import no_such_module")
    assert ran.returncode == 2


def test_a_run_without_failures_passes(project: Path) -> None:
    assert run(project, "def test_well(): pass").returncode == 0


SLOW = "@pytest.mark.slow\ndef test_slow(): pass\n"


def test_the_short_suite_leaves_slow_tests_out(project: Path) -> None:
    ran = run(project, SLOW, "def test_well(): pass")
    assert ran.stdout.splitlines()[-1].startswith("1 passed, 1 deselected")


def test_slow_tests_run_alone_while_there_is_time(project: Path) -> None:
    later = str(time.time() + 3600)
    ran = run(project, SLOW, "def test_well(): pass", suite="slow", TESTS_UNTIL=later)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 passed, 1 deselected")


def test_slow_tests_that_do_not_begin_in_time_are_counted(project: Path) -> None:
    ran = run(project, SLOW, "def test_quick(): pass", suite="slow", TESTS_UNTIL="1")
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 skipped, 1 deselected")


def test_a_slow_test_is_tried_again_also_after_its_time(project: Path) -> None:
    ends_the_time = "if pathlib.Path('late').exists() and os.environ.get('TESTS_UNTIL'):\n"
    ends_the_time += "    os.environ['TESTS_UNTIL'] = '1'\n"
    marks = "@pytest.mark.slow\n@pytest.mark.realtime"
    later = str(time.time() + 3600)
    test = flaky("late", marks)
    ran = run(project, f"import os\n{ends_the_time}", test, suite="slow", TESTS_UNTIL=later)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 passed")


def test_a_suite_of_another_name_is_refused(project: Path) -> None:
    assert run(project, suite="long").returncode == 2

"""`make run` as a newcomer types it, and what it says where it cannot work."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a short while, with little more than a search path."""
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def made_environment() -> None:
    """Skip where make did not make the virtual environment: making it takes a package index and a minute."""
    if make("--question", ".venv/.runnable").returncode != 0:
        pytest.skip("`make test` did not start these tests, so there is no .venv to run in")


@pytest.fixture
def run(made_environment: None, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORT": "0", "DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def test_make_run_answers_and_remembers_without_any_configuration(
    run: subprocess.Popen[bytes],
) -> None:
    assert run.stdout is not None
    lines = (json.loads(line) for line in run.stdout)
    port = next(line["server"]["port"] for line in lines if "server" in line)
    url = f"http://127.0.0.1:{port}/v1"
    question = urllib.request.Request(
        f"{url}/chat",
        data=b'{"userId": "ana", "userPrompt": "Are you there?"}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(question, timeout=30) as response:
        answer = json.load(response)
    assert "demo model" in answer["response"]
    with urllib.request.urlopen(f"{url}/history/ana", timeout=30) as response:
        assert [item["id"] for item in json.load(response)["history"]] == [answer["id"]]
    os.killpg(run.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    assert any(line.get("message") == "stopped" for line in lines)


def test_make_says_that_no_python_is_new_enough(tmp_path: Path) -> None:
    made = make("run", f"VENV={tmp_path / 'venv'}", "PYTHON=")
    assert made.returncode != 0
    assert "Python 3.11 or newer is needed" in made.stdout


def test_make_says_that_this_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    made = make("run", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert made.returncode != 0
    assert f"{old} is older than Python 3.11" in made.stdout


def test_make_says_that_the_venv_module_is_missing(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    made = make("run", f"VENV={tmp_path / 'venv'}", f"PYTHON={bare}")
    assert made.returncode != 0
    assert "has no venv module" in made.stdout


def test_make_help_lists_what_can_be_made() -> None:
    listed = make("help").stdout
    assert all(f"make {target}" in listed for target in ("run", "test", "check"))

"""`deploy/packages/install.sh`, with a Python that notes what it is called with."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.service import ROOT

PYTHON = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$*" in
"-m pip --version") [ -z "$NO_PIP" ] ;;
"-c import uv") [ -e "$CALLS.uv" ] ;;
*requirements-uv.lock) [ -z "$NO_UV" ] && touch "$CALLS.uv" ;;
*"config get global.index-url") echo "$MIRROR"; [ -n "$MIRROR" ] ;;
"-m uv pip install"*) [ -z "$UV_FAILS" ] ;;
esac
"""
FROM_THE_LOCK = "--no-deps --require-hashes -r the.lock"


def installed(tmp_path: Path, *options: str, **environment: str) -> list[str]:
    """Return the installing calls of the Python, after a successful run."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    (tmp_path / "the.lock").write_text("# a comment\none==1 \\\n    --hash=sha256:0\ntwo==2\n")
    calls = tmp_path / "calls"
    done = subprocess.run(
        [
            "sh",
            str(ROOT / "deploy" / "packages" / "install.sh"),
            str(python),
            "venv",
            "the.lock",
            *options,
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "CALLS": str(calls)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Installing the 2 packages of the.lock" in done.stdout
    return [line for line in calls.read_text().splitlines() if "install" in line]


def test_pip_installs_uv_and_uv_the_lock_both_with_hashes(tmp_path: Path) -> None:
    first, second = installed(tmp_path, "--compile-bytecode")
    assert "--no-deps --require-hashes --only-binary :all:" in first
    assert first.endswith("requirements-uv.lock")
    assert second.startswith("-m uv pip install")
    assert f"{FROM_THE_LOCK} --compile-bytecode" in second
    assert "--default-index" not in second


def test_a_python_without_pip_has_one_put_into_the_environment(tmp_path: Path) -> None:
    first, second = installed(tmp_path, NO_PIP="yes")
    assert "-m ensurepip" in (tmp_path / "calls").read_text()
    assert first.startswith("-m pip --disable-pip-version-check install")
    assert second.startswith("-m uv pip install")


def test_uv_is_installed_once(tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "calls").unlink()
    (only,) = installed(tmp_path)
    assert only.startswith("-m uv pip install")


@pytest.mark.parametrize("missing", ["NO_UV", "UV_FAILS"])
def test_without_uv_pip_installs_the_lock(tmp_path: Path, missing: str) -> None:
    *_, last = installed(tmp_path, "--compile-bytecode", **{missing: "yes"})
    assert "--python venv/bin/python --disable-pip-version-check install" in last
    assert last.endswith(FROM_THE_LOCK)


@pytest.mark.parametrize("setting", ["MIRROR", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_a_mirror_that_is_set_up_is_the_only_source(tmp_path: Path, setting: str) -> None:
    _, second = installed(tmp_path, **{setting: "https://mirror.example/simple"})
    assert "--default-index https://mirror.example/simple" in second

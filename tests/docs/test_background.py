"""The examples of docs/background.md run as they stand, and the one for a page survives a reload and a killed process."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.docs.markdown import ROOT, blocks
from tests.e2e.slowly import DEFAULT, Slowly
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.service import running_service

DOCUMENT = "docs/background.md"
TEXT = (ROOT / DOCUMENT).read_text(encoding="utf-8")
LOCAL_STORAGE = """
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
Object.defineProperty(globalThis, "localStorage", { value: {
  getItem: (name) => (existsSync(name) ? readFileSync(name, "utf8") : null),
  setItem: writeFileSync,
  removeItem: rmSync,
} });
"""
"""A browser's, in files of the current folder."""


def example(language: str, port: int) -> str:
    (block,) = [
        block for block in blocks(DOCUMENT) if (block.marker, block.language) == ("run", language)
    ]
    return block.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def test_every_example_is_run_here_or_says_why_not() -> None:
    for block in blocks(DOCUMENT):
        if block.language != "mermaid":
            assert block.marker == "run" or block.marker.startswith("not run: "), block.text


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)[`=]", TEXT))
    assert len(named) > 5
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.slow
def test_the_example_for_the_shell_is_accepted(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example("sh", service.port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert ran.stdout.startswith("HTTP/1.1 202 ")
    assert re.search(r"^location: /v1/history/ana/[0-9a-f-]{36}\r?$", ran.stdout, re.MULTILINE)
    assert '"status":"in_progress"' in ran.stdout


@contextmanager
def page(code: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a page's code with Node; the end of the block closes the page."""
    process = subprocess.Popen(
        ["node", "--input-type=module", "-e", LOCAL_STORAGE + code],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def lines_of(process: "subprocess.Popen[str]", *, until: str) -> Sequence[str]:
    """Return the printed lines up to the first one with this text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if until in line:
            return lines
    raise AssertionError(lines)


@pytest.mark.slow
def test_the_example_for_a_page_survives_a_reload_and_the_death_of_the_service(
    tmp_path: Path,
) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with provider_in_thread() as provider:
        slowly = provider.override[DEFAULT] = Slowly()
        settings = {
            "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, [DEFAULT])),
            "GEM_KEY": "a-key",
            "PORT": str(port),
            "ANSWER_LEASE_SECONDS": "2",
            "ANSWER_LEASE_RENEWAL_SECONDS": "0.5",
        }
        code = example("javascript", port)
        with running_service(tmp_path / "data", settings) as first:
            with page(code, tmp_path) as opened:
                assert lines_of(opened, until="All")[-1] == "All"
            assert (tmp_path / "answer").read_text().startswith("/v1/history/ana/")
            with page(code, tmp_path) as reloaded:
                assert lines_of(reloaded, until="All")[-1] == "All"
                assert provider.count(DEFAULT) == 1  # the same answer
                first.kill()
                with running_service(tmp_path / "data", settings):
                    slowly.may_go_on.set()
                    lines = lines_of(reloaded, until="completed")
                assert reloaded.wait(10) == 0
    assert "" in lines  # the restart
    assert lines[-1] == "All is well. completed"
    assert not (tmp_path / "answer").exists()
    assert provider.count(DEFAULT) == 2

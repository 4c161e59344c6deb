"""The worked examples for clients work as they stand."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.problems.problem_table import PROBLEMS
from tests.docs.markdown import ROOT, Block, blocks
from tests.support.service import Service, running_service

DOCUMENT = "docs/clients.md"
RUNNERS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-W", "error", "-c"],
    "javascript": ["node", "--input-type=module", "-e"],
}
PACKAGES = ROOT / "tests" / "e2e" / "js"
"""Folder with the packages that examples in JavaScript import."""
ANSWER = "This is the scripted demo model"
ANTHROPIC = "from anthropic import"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service") / "data") as service:
        with service.client() as client:
            client.post("/v1/chat", json={"userId": "ana", "userPrompt": "Are you there?"})
        yield service


def examples(*languages: str) -> list[Block]:
    return [
        block for block in blocks(DOCUMENT) if block.marker == "run" and block.language in languages
    ]


def test_the_table_of_errors_is_that_of_the_service() -> None:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \| (yes|no) \|", text, flags=re.MULTILINE)
    shown = {(int(status), slug, retry == "yes") for status, slug, retry in rows}
    assert shown == {(kind.status, kind.slug, kind.retryable) for kind in PROBLEMS}


def test_every_example_is_run_here_or_says_why_not() -> None:
    for block in blocks(DOCUMENT):
        assert block.language in RUNNERS
        assert block.marker == "run" or block.marker.startswith("not run: "), block.text
    assert {block.language for block in examples(*RUNNERS)} == set(RUNNERS)


@pytest.mark.slow
@pytest.mark.parametrize("block", examples("sh", "javascript"), ids=lambda block: block.language)
def test_an_example_for_the_shell_or_a_page_runs_as_it_stands(
    service: Service, block: Block
) -> None:
    if shutil.which(RUNNERS[block.language][0]) is None:
        pytest.skip(f"{RUNNERS[block.language][0]} is not installed")
    if block.text.startswith("import ") and not (PACKAGES / "node_modules").is_dir():
        pytest.skip("the packages are not installed: npm ci in tests/e2e/js")
    assert ANSWER in run(service, block)


def test_the_examples_in_python_run_as_they_stand_and_are_in_history(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service, service.client() as client:
        blocks = [block for block in examples("python") if ANTHROPIC not in block.text]
        asking, failing, tool, chain, chain_tool, *responses = blocks
        assert run(service, asking).count(ANSWER) == 2
        assert run(service, failing).startswith("model_not_found model ")
        assert run(service, chain).count(ANSWER) == 5
        for calling in (tool, chain_tool):
            assert f"{ANSWER}, not a real LLM. Your tools answered: 22 °C in " in run(
                service, calling
            )
        assert len(_history(client, "ana")) == 11
        assert len(_history(client, "ana", conversationId="loops")) == 1
        for block in responses:
            if "from agents" in block.text and find_spec("agents") is None:
                continue
            answers = run(service, block)
            assert f"{ANSWER}, not a real LLM. Your tools answered: 22 °C in " in answers
            assert answers.count(ANSWER) == 2
        assert [turn["userPrompt"] for turn in _history(client, "bea")] == [
            "And in one word?",
            "",
            "How is the weather in Oslo?",
        ]


def test_the_example_of_anthropics_client_runs_as_it_stands(service: Service) -> None:
    if find_spec("anthropic") is None:
        pytest.skip("anthropic is not installed")
    (block,) = [block for block in examples("python") if ANTHROPIC in block.text]
    printed = run(service, block)
    assert f"{ANSWER}, not a real LLM. Your tools answered: 22 °C in " in printed
    assert printed.count(ANSWER) == 2
    with service.client() as client:
        assert len(_history(client, "eva", conversationId="weather")) == 2


def run(service: Service, block: Block) -> str:
    """Run a block against the service; return what it printed."""
    text = block.text.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    command = [*RUNNERS[block.language], text]
    folder = PACKAGES if block.language == "javascript" else ROOT
    ran = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    assert ran.returncode == 0, f"{block.text}\n{ran.stderr.decode()}"
    return ran.stdout.decode()


def _history(client: httpx2.Client, user: str, **filters: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/history/{user}", params=filters).json()["history"])

"""What the README tells a newcomer to type works, and answers what the README shows."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import Block, blocks
from tests.support.service import environment, running_service

READMES = ["README.md", "README.pt-BR.md"]
COMMANDS = {"sh", "powershell"}
DIAGRAM = "mermaid"
VARIES = re.compile(r"^(id|timestamp|.*[sS]econds)$")


@pytest.mark.parametrize("document", [*READMES, "docs/running.md"])
def test_every_command_is_run_here_or_says_why_not(document: str) -> None:
    commands = [block for block in blocks(document) if block.language in COMMANDS]
    assert commands
    for block in commands:
        assert block.marker == "run" or block.marker.startswith("not run: "), block.text


def test_both_languages_show_the_same_commands_and_answers() -> None:
    english, portuguese = (
        [(block.language, block.language == DIAGRAM or block.text) for block in blocks(readme)]
        for readme in READMES
    )
    assert english == portuguese


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_answer_what_is_shown(tmp_path: Path) -> None:
    shown = blocks("README.md")
    assert any(block.marker == "answers" for block in shown)
    with running_service(tmp_path / "data") as service:
        printed = ""
        for block in shown:
            if block.marker == "run":
                printed = run(block, service.port, tmp_path)
            elif block.marker == "answers":
                assert settled(json.loads(printed)) == settled(json.loads(block.text))


def run(block: Block, port: int, directory: Path) -> str:
    """Run a block against the service at `port`, in its data directory's parent; return what it printed."""
    ran = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            block.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ],
        cwd=directory,
        env=environment(directory / "data"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, f"{block.text}\n{ran.stderr.decode()}"
    return ran.stdout.decode()


def settled(value: Any, name: str = "") -> Any:
    """Return an answer without what differs from one call to the next; its type stays."""
    if isinstance(value, dict):
        return {key: settled(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [settled(item, name) for item in value]
    return type(value).__name__ if VARIES.match(name) else value

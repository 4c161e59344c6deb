"""Codex CLI does a task; the output is described in `coding_agent`.

Run by `test_coding_agents.py` in a network namespace that has loopback alone:
python -m tests.e2e.clients.codex PROGRAM KIND
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.clients.coding_agent import MODEL, TASK, do_task, output_of
from tests.e2e.two_tool_task import Call
from tests.support.service import Service


def steps(file: Path) -> list[Call]:
    """Return the calls that read a file and correct it; the program carries out `apply_patch` itself."""
    patch = f"*** Begin Patch\n*** Update File: {file.name}\n@@\n-Hello wrld\n+Hello world\n*** End Patch"
    commands = [f"cat {file.name}", f"apply_patch <<'EOF'\n{patch}\nEOF"]
    return [Call("exec_command", {"cmd": command}) for command in commands]


def main(program: str, kind: str) -> None:
    """Run the program and print what came of the task."""

    def run(service: Service, key: str, work: Path) -> Any:
        settings = work.parent / ".codex" / "config.toml"
        settings.parent.mkdir()
        settings.write_text(
            f'model = "{MODEL}"\n'
            'model_provider = "platform"\n'
            "check_for_update_on_startup = false\n"
            "[analytics]\nenabled = false\n"
            '[model_providers.platform]\nname = "platform"\nwire_api = "responses"\n'
            f'base_url = "{service.url}/v1"\nenv_key = "PLATFORM_KEY"\n'
            "request_max_retries = 0\nstream_max_retries = 0\n",
            encoding="utf-8",
        )
        # The namespace is the sandbox: the program's own needs rights that not every system gives.
        command = [program, "exec", "--json", "--skip-git-repo-check"]
        command += ["--sandbox", "danger-full-access", TASK]
        printed = output_of(command, work, {"PLATFORM_KEY": key})
        return [json.loads(line) for line in printed.splitlines()]

    do_task(kind, steps, run, {"RESPONSES_DROP_UNKNOWN_TOOLS": "true"})


if __name__ == "__main__":
    main(*sys.argv[1:])

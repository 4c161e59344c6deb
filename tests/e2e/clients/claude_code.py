"""Claude Code does a task; the output is described in `coding_agent`.

Run by `test_coding_agents.py` in a network namespace that has loopback alone:
python -m tests.e2e.clients.claude_code PROGRAM KIND
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.clients.coding_agent import MODEL, TASK, do_task, output_of
from tests.e2e.two_tool_task import Call
from tests.support.service import Service

CONVERSATION = "task-1"
_QUIET = (
    "DISABLE_AUTOUPDATER",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "IS_SANDBOX",
)


def steps(file: Path) -> list[Call]:
    """Return the calls that read a file and correct it."""
    changes = {"file_path": str(file), "old_string": "wrld", "new_string": "world"}
    return [Call("Read", {"file_path": str(file)}), Call("Edit", changes)]


def main(program: str, kind: str) -> None:
    """Run the program and print what came of the task."""

    def run(service: Service, key: str, work: Path) -> Any:
        environment = {
            "ANTHROPIC_BASE_URL": service.url,
            "ANTHROPIC_AUTH_TOKEN": key,
            "ANTHROPIC_MODEL": MODEL,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
            "ANTHROPIC_CUSTOM_HEADERS": f"X-Conversation-Id: {CONVERSATION}",
            **dict.fromkeys(_QUIET, "1"),
        }
        command = [program, "-p", TASK, "--allowedTools", "Read,Edit", "--output-format", "json"]
        return json.loads(output_of(command, work, environment))

    do_task(kind, steps, run, {})


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Claude Code does a task against the service and a scripted provider; prints what came of it as JSON.

Run by `test_claude_code.py` in a network namespace that has loopback alone: python -m tests.e2e.clients.claude_code PROGRAM
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from domain.entities.reply import FinishReason
from tests.e2e.two_tool_task import in_thread
from tests.fakes.behaviour import Behaviour, Calls, Says
from tests.fakes.http_provider import Seen
from tests.fakes.openai import FakeOpenAI
from tests.http.access import bearer, make_key
from tests.support.service import Service, running_service

ANSWER = "The spelling is corrected."
CONVERSATION = "task-1"
_MODEL = "claude-scripted"
_USER = "ana"
_QUIET = (
    "DISABLE_AUTOUPDATER",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "IS_SANDBOX",
)


class ScriptedAgent(FakeOpenAI):
    """Reads a file, edits it, and ends; requests without those tools, such as those for titles, get a text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = str(file)

    def _default(self, seen: Seen) -> Behaviour:
        offered = [tool["function"]["name"] for tool in seen.body.get("tools", ())]
        steps = [
            Calls("Read", json.dumps({"file_path": self._file})),
            Calls(
                "Edit",
                json.dumps({"file_path": self._file, "old_string": "wrld", "new_string": "world"}),
            ),
        ]
        done = sum(message["role"] == "tool" for message in seen.body["messages"])
        if "Read" not in offered or done >= len(steps):
            return Says([ANSWER])
        return Says([steps[done]], FinishReason.TOOL_CALLS)


def main(program: str) -> None:
    """Do the task in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "work" / "greeting.txt"
        file.parent.mkdir()
        file.write_text("Hello wrld\n", encoding="utf-8")
        provider = ScriptedAgent(file)
        with in_thread(provider):
            models = folder / "models.toml"
            models.write_text(
                f'default = "{_MODEL}"\n'
                f'[providers.alt]\nkind = "openai"\nbase_url = "{provider.base_url}"\n'
                f'api_key_env = "ALT_KEY"\n[models.{_MODEL}]\nprovider = "alt"\n',
                encoding="utf-8",
            )
            _, key = make_key(folder / "data", user=_USER)
            settings = {
                "AUTHENTICATION": "api_keys",
                "MODELS_FILE": str(models),
                "ALT_KEY": "test-key",
            }
            with running_service(folder / "data", settings) as service:
                result = _run(program, service, key, file.parent)
                kept = _history(service, key)
        outcome = {"result": result, "file": file.read_text(encoding="utf-8"), **kept}
    sys.stdout.write(json.dumps(outcome) + "\n")


def _run(program: str, service: Service, key: str, work: Path) -> dict[str, Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work.parent),
        "ANTHROPIC_BASE_URL": service.url,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": _MODEL,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": _MODEL,
        "ANTHROPIC_CUSTOM_HEADERS": f"X-Conversation-Id: {CONVERSATION}",
        **dict.fromkeys(_QUIET, "1"),
    }
    task = ["-p", "Correct the spelling in greeting.txt", "--allowedTools", "Read,Edit"]
    ran = subprocess.run(
        [program, *task, "--output-format", "json"],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=True,
    )
    return dict(json.loads(ran.stdout))


def _history(service: Service, key: str) -> dict[str, Any]:
    """Return the user's turns, oldest first, and how many of them were erased."""
    path = f"/v1/history/{_USER}"
    with service.client(headers=bearer(key)) as client:
        turns = client.get(path, params={"conversationId": CONVERSATION}).json()["history"]
        return {"turns": turns[::-1], "deleted": client.delete(path).json()["deleted"]}


if __name__ == "__main__":
    main(sys.argv[1])

"""What the tests of coding agents have in common: a model that gives them a task's steps, and what history has of it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from domain.entities.reply import FinishReason
from tests.e2e.two_tool_task import Call, in_thread
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.behaviour import Behaviour, Calls, Says, Thinks
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import FakeProvider, Seen
from tests.http.access import bearer, make_key
from tests.support.service import Service, running_service

TASK = "Correct the spelling in greeting.txt"
ANSWER = "The spelling is corrected."
THOUGHT = "I have to see it."
USER = "ana"
MODEL = "claude-scripted"
"""Claude Code lists models whose names begin so; Codex takes any."""
_SECONDS = 120.0


class ScriptedGemini(FakeGemini):
    """Answers with the steps in turn and ends; requests without their tool, such as those for titles, get a text.

    Each call has a signature, which has to come back with it.
    """

    def __init__(self, steps: Sequence[Call]) -> None:
        super().__init__()
        self._steps = steps

    def _default(self, seen: Seen) -> Behaviour:
        offered = {
            function["name"]
            for tool in seen.body.get("tools", ())
            for function in tool["functionDeclarations"]
        }
        parts = [part for content in seen.body["contents"] for part in content["parts"]]
        done = sum("functionResponse" in part for part in parts)
        if done == len(self._steps) or self._steps[done].name not in offered:
            return Says([ANSWER])
        step = self._steps[done]
        call = Calls(step.name, step.json, signature=f"c2lnbmF0dXJl{done}")
        return Says([call], FinishReason.TOOL_CALLS)


class ScriptedAnthropic(FakeAnthropic):
    """Does the same in Anthropic's format, and thinks before it calls; what it thought has to come back."""

    def __init__(self, steps: Sequence[Call]) -> None:
        super().__init__()
        self._steps = steps

    def _default(self, seen: Seen) -> Behaviour:
        offered = {tool["name"] for tool in seen.body.get("tools", ())}
        blocks = [
            block
            for message in seen.body["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
        ]
        done = sum(block["type"] == "tool_result" for block in blocks)
        if done == len(self._steps) or self._steps[done].name not in offered:
            return Says([ANSWER])
        step = self._steps[done]
        call = Calls(step.name, step.json, id=f"toolu_{done}")
        return Says([Thinks(THOUGHT), call], FinishReason.TOOL_CALLS)


PROVIDERS: Mapping[str, Callable[[Sequence[Call]], ScriptedGemini | ScriptedAnthropic]] = {
    "gemini": ScriptedGemini,
    "anthropic": ScriptedAnthropic,
}

Run = Callable[[Service, str, Path], Any]
"""Runs the program with a key of the service in a folder, and returns what it printed."""


def do_task(
    kind: str, steps: Callable[[Path], Sequence[Call]], run: Run, settings: Mapping[str, str]
) -> None:
    """Print as JSON what came of the task: what the program printed, the file, history, and how much of it was erased.

    Args:
        kind: Of the provider.
        steps: Returns the calls that the model makes, for the file of the task.
        run: Runs the program.
        settings: Of the service.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "work" / "greeting.txt"
        file.parent.mkdir()
        file.write_text("Hello wrld\n", encoding="utf-8")
        provider = PROVIDERS[kind](steps(file))
        with in_thread(provider):
            _, key = make_key(folder / "data", user=USER)
            with running_service(
                folder / "data", {**_settings(folder, kind, provider), **settings}
            ) as service:
                printed = run(service, key, file.parent)
                kept = _history(service, key)
        outcome = {
            "printed": printed,
            "file": file.read_text(encoding="utf-8"),
            "asked": [seen.body for seen in provider.seen],
            **kept,
        }
    sys.stdout.write(orjson.dumps(outcome).decode() + "\n")


def output_of(command: Sequence[str], work: Path, environment: Mapping[str, str]) -> str:
    """Return what a program prints that is run in a folder, with nothing of our environment but the path."""
    ran = subprocess.run(
        command,
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": str(work.parent), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    return ran.stdout


def _settings(folder: Path, kind: str, provider: FakeProvider) -> dict[str, str]:
    models = folder / "models.toml"
    models.write_text(
        f'default = "{MODEL}"\n'
        f'[providers.alt]\nkind = "{kind}"\nbase_url = "{provider.base_url}"\n'
        f'api_key_env = "ALT_KEY"\n[models.{MODEL}]\nprovider = "alt"\n',
        encoding="utf-8",
    )
    return {"AUTHENTICATION": "api_keys", "MODELS_FILE": str(models), "ALT_KEY": "test-key"}


def _history(service: Service, key: str) -> dict[str, Any]:
    """Return the user's turns, oldest first, those found by a word, the exported ones, and how many were erased."""
    path = f"/v1/history/{USER}"
    with service.client(headers=bearer(key)) as client:
        return {
            "turns": client.get(path, params={"order": "asc"}).json()["history"],
            "found": client.get(path, params={"q": "spelling"}).json()["history"],
            "exported": [
                orjson.loads(line)
                for line in client.get(f"{path}/export", params={"format": "jsonl"}).iter_lines()
            ],
            "deleted": client.delete(path).json()["deleted"],
            "left": client.get(path).json()["history"],
        }

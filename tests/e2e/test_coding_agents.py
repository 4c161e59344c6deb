"""Coding agents do a task through the service, where a variable names the program and the system has network namespaces."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.clients.claude_code import CONVERSATION
from tests.e2e.clients.coding_agent import ANSWER, PROVIDERS, TASK, THOUGHT
from tests.support.service import ROOT

WITH_LOOPBACK_ALONE = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]

of_each_kind = pytest.mark.parametrize("kind", PROVIDERS)


def done_task(variable: str, module: str, kind: str) -> dict[str, Any]:
    """Return what came of the task, which a program does in a namespace; skip without the program or namespaces."""
    program = os.environ.get(variable)
    if program is None:
        pytest.skip(f"{variable} does not name the program")
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("ip or unshare is not installed")
    if subprocess.run([*WITH_LOOPBACK_ALONE, "true"], check=False).returncode:
        pytest.skip("there are no network namespaces here")
    command = f'ip link set lo up && exec "$0" -m tests.e2e.clients.{module} "$1" "$2"'
    ran = subprocess.run(
        [*WITH_LOOPBACK_ALONE, command, sys.executable, program, kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    outcome: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert outcome["file"] == "Hello world\n"
    assert outcome["deleted"] == len(outcome["turns"]) == len(outcome["exported"]) == 3
    assert outcome["left"] == []
    if kind == "anthropic":
        assert_thinking_came_back(outcome["asked"][-1])
    return outcome


def assert_thinking_came_back(asked: dict[str, Any]) -> None:
    """Check that each answer begins with its thinking; the fake checks the signatures."""
    answers = [message for message in asked["messages"] if message["role"] == "assistant"]
    assert len(answers) == 2
    for answer in answers:
        thinking, call = answer["content"]
        assert (thinking["thinking"], call["type"]) == (THOUGHT, "tool_use")


@of_each_kind
def test_claude_code_edits_a_file_and_its_session_is_in_history(kind: str) -> None:
    outcome = done_task("CLAUDE_CODE", "claude_code", kind)
    assert (outcome["printed"]["result"], outcome["printed"]["is_error"]) == (ANSWER, False)
    turns = outcome["turns"]
    assert {turn["conversationId"] for turn in turns} == {CONVERSATION}
    assert [[call["name"] for call in turn.get("toolCalls", ())] for turn in turns] == [
        ["Read"],
        ["Edit"],
        [],
    ]
    assert [len(turn.get("toolResults", ())) for turn in turns] == [0, 1, 1]
    assert TASK in turns[0]["userPrompt"]
    assert turns[-1]["response"] == ANSWER
    assert {turn["id"] for turn in outcome["found"]} == {turns[0]["id"], turns[-1]["id"]}
    assert [turn["response"] for turn in outcome["exported"]][-1] == ANSWER


@of_each_kind
def test_codex_edits_a_file_and_history_has_its_requests_without_content(kind: str) -> None:
    outcome = done_task("CODEX", "codex", kind)
    items = [line["item"] for line in outcome["printed"] if line["type"] == "item.completed"]
    made = [item["type"] for item in items if item["type"] not in ("error", "reasoning")]
    assert made == ["command_execution", "file_change", "agent_message"]
    assert items[-1]["text"] == ANSWER
    assert outcome["printed"][-1]["type"] == "turn.completed"
    assert [turn["stored"] for turn in outcome["turns"]] == [False] * 3
    assert all(turn["usage"]["outputTokens"] for turn in outcome["turns"])
    assert outcome["found"] == []
    assert "greeting.txt" not in json.dumps([outcome["turns"], outcome["exported"]])

"""Claude Code does a task through the service, where `CLAUDE_CODE` names the program and the system has network namespaces."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.e2e.clients.claude_code import ANSWER, CONVERSATION
from tests.support.service import ROOT

WITH_LOOPBACK_ALONE = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]


def test_a_file_is_read_and_edited_and_the_session_is_in_history() -> None:
    program = os.environ.get("CLAUDE_CODE")
    if program is None:
        pytest.skip("CLAUDE_CODE does not name the program")
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("ip or unshare is not installed")
    if subprocess.run([*WITH_LOOPBACK_ALONE, "true"], check=False).returncode:
        pytest.skip("there are no network namespaces here")
    command = 'ip link set lo up && exec "$0" -m tests.e2e.clients.claude_code "$1"'
    ran = subprocess.run(
        [*WITH_LOOPBACK_ALONE, command, sys.executable, program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout.splitlines()[-1])
    assert outcome["file"] == "Hello world\n"
    assert (outcome["result"]["result"], outcome["result"]["is_error"]) == (ANSWER, False)
    turns = outcome["turns"]
    assert {turn["conversationId"] for turn in turns} == {CONVERSATION}
    calls = [call["name"] for turn in turns for call in turn.get("toolCalls", ())]
    assert calls == ["Read", "Edit"]
    assert "Correct the spelling" in turns[0]["userPrompt"]
    assert [len(turn.get("toolResults", ())) for turn in turns] == [0, 1, 1]
    assert turns[-1]["response"] == ANSWER
    assert outcome["deleted"] == len(turns)

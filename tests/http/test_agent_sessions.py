"""A session of a coding agent: each request repeats what came before, and history grows by what is new."""

from pathlib import Path

import pytest

from bench.agent_session import CONVERSATION, USER, session
from tests.support.service import running_service

REQUESTS = 40
_ROW_BYTES = 4096
"""What a stored interaction takes beside its content: settings, attempts, indexes, the words of the search."""


@pytest.mark.slow
def test_history_grows_by_what_is_new_and_is_one_conversation(tmp_path: Path) -> None:
    short = session(tmp_path / "short", REQUESTS // 2)
    long = session(tmp_path / "long", REQUESTS)
    new = long.new_bytes - short.new_bytes
    grown = long.stored_bytes - short.stored_bytes
    assert long.sent_bytes > 10 * long.new_bytes
    assert grown < 3 * new + REQUESTS // 2 * _ROW_BYTES

    path = f"/v1/history/{USER}"
    with running_service(tmp_path / "long") as service, service.client() as client:
        (conversation,) = client.get(f"{path}/conversations").json()["conversations"]
        assert (conversation["id"], conversation["turns"]) == (CONVERSATION, REQUESTS)
        named = {"conversationId": CONVERSATION, "limit": 100}
        turns = client.get(path, params=named).json()["history"]
        assert len(turns) == REQUESTS
        asked = [turn for turn in turns if "toolResults" not in turn]
        assert all(turn["userPrompt"].startswith("What does file ") for turn in asked)
        assert all(len(turn["userPrompt"]) < 100 for turn in turns)
        for turn in turns:
            assert len(turn.get("toolResults", ())) <= 1
        exported = client.get(f"{path}/export", params={"format": "jsonl"})
        assert len(exported.text.splitlines()) == REQUESTS
        found = client.get(path, params={"q": "file 0"}).json()["history"]
        assert [turn["id"] for turn in found] == [turns[-1]["id"]]
        assert client.delete(path).json() == {"deleted": REQUESTS}

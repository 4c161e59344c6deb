"""A task that an agent began at its own door is read, searched, exported and erased like any history."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from domain.entities.reply import FinishReason
from tests.e2e.two_tool_task import in_thread
from tests.fakes.behaviour import Calls, Says
from tests.fakes.openai import FakeOpenAI
from tests.http.attachment_chats import data_url, encoded, png
from tests.support.mongod import shared_mongo_uri
from tests.support.service import Service, running_service
from tests.support.stored_bytes import stored_in_files, stored_in_mongodb

PICTURE = png()
LONG = "a line of a file or of instructions\n" * 4_000
"""More than a row has room for."""
INSTRUCTIONS, DESCRIBED, RESULT = (
    f"longinstructions {LONG}",
    f"longtool {LONG}",
    f"longresult {LONG}",
)
LONG_CONTENTS = (b"longinstructions", b"longtool", b"longresult", PICTURE)
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}}
QUESTION = "Which stone does the picture show?"
STEPS = (
    Says([Calls("read_file", '{"path":"a.txt"}', id="call_a")], FinishReason.TOOL_CALLS),
    Says([Calls("read_file", '{"path":"b.txt"}', id="call_b")], FinishReason.TOOL_CALLS),
    Says(["It is a zircon."]),
)


@dataclass
class Agent:
    """A client that does the task at one door."""

    client: httpx2.Client

    def do(self) -> None:
        """Ask, and send a result for each call."""
        calls = self.ask()
        while calls:
            calls = self.send_results(calls)

    def ask(self) -> Sequence[str]:
        """Ask the question, and return the ids of the calls in the answer."""
        raise NotImplementedError

    def send_results(self, calls: Sequence[str]) -> Sequence[str]:
        """Send a long text and the picture as the result of each call, and return the ids of the next ones."""
        raise NotImplementedError


@dataclass
class MessagesAgent(Agent):
    """Sends the whole context each time, and names its conversation in a header."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def ask(self) -> Sequence[str]:
        return self._send([{"type": "text", "text": QUESTION}, self._picture()])

    def send_results(self, calls: Sequence[str]) -> Sequence[str]:
        content = [{"type": "text", "text": RESULT}, self._picture()]
        return self._send(
            [{"type": "tool_result", "tool_use_id": call, "content": content} for call in calls]
        )

    def _picture(self) -> dict[str, Any]:
        source = {"type": "base64", "media_type": "image/png", "data": encoded(PICTURE)}
        return {"type": "image", "source": source}

    def _send(self, content: list[dict[str, Any]]) -> Sequence[str]:
        self.sent.append({"role": "user", "content": content})
        tool = {"name": "read_file", "description": DESCRIBED, "input_schema": PARAMETERS}
        body = {
            "model": "scripted",
            "max_tokens": 32_000,
            "system": INSTRUCTIONS,
            "tools": [tool],
            "messages": self.sent,
            "metadata": {"user_id": "ana"},
        }
        response = self.client.post("/v1/messages", json=body, headers={"X-Conversation-Id": "c"})
        assert response.status_code == 200, response.text
        blocks = response.json()["content"]
        self.sent.append({"role": "assistant", "content": blocks})
        return [block["id"] for block in blocks if block["type"] == "tool_use"]


class ResponsesAgent(Agent):
    """Sends what is new, and names its conversation."""

    def ask(self) -> Sequence[str]:
        text = {"type": "input_text", "text": QUESTION}
        return self._send([{"role": "user", "content": [text, self._picture()]}])

    def send_results(self, calls: Sequence[str]) -> Sequence[str]:
        output = [{"type": "input_text", "text": RESULT}, self._picture()]
        return self._send(
            [{"type": "function_call_output", "call_id": call, "output": output} for call in calls]
        )

    def _picture(self) -> dict[str, Any]:
        return {"type": "input_image", "image_url": data_url(PICTURE)}

    def _send(self, items: list[dict[str, Any]]) -> Sequence[str]:
        tool = {"name": "read_file", "description": DESCRIBED, "parameters": PARAMETERS}
        body = {
            "model": "scripted",
            "instructions": INSTRUCTIONS,
            "tools": [{"type": "function", **tool}],
            "input": items,
            "conversation": "c",
            "user": "ana",
        }
        response = self.client.post("/v1/responses", json=body)
        assert response.status_code == 200, response.text
        output = response.json()["output"]
        return [item["call_id"] for item in output if item["type"] == "function_call"]


@dataclass(frozen=True)
class Installation:
    """A service and its provider.

    Attributes:
        kept: Returns the bytes of all kept contents.
    """

    service: Service
    provider: FakeOpenAI
    kept: Callable[[], list[bytes]]


@pytest.fixture(scope="module", params=["embedded", "mongodb"])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("service")
    provider = FakeOpenAI()
    with in_thread(provider):
        models = folder / "models.toml"
        models.write_text(
            f'default = "scripted"\n[providers.alt]\nkind = "openai"\nbase_url = "{provider.base_url}"\n'
            'api_key_env = "ALT_KEY"\n[models.scripted]\nprovider = "alt"\n',
            encoding="utf-8",
        )
        settings = {"MODELS_FILE": str(models), "ALT_KEY": "test-key"}
        kept = _in_files(folder / "data" / "attachments")
        if request.param == "mongodb":
            uri, database = shared_mongo_uri(), f"task_{secrets.token_hex(4)}"
            settings |= {"MONGO_URI": uri, "MONGO_DB": database, "OUTBOX_ENABLED": "false"}
            kept = _in_gridfs(uri, database)
        with running_service(folder / "data", settings) as service:
            yield Installation(service, provider, kept)


def _in_files(folder: Path) -> Callable[[], list[bytes]]:
    return lambda: [content for _, content in stored_in_files(folder)]


def _in_gridfs(uri: str, database: str) -> Callable[[], list[bytes]]:
    return lambda: [
        content for name, content in stored_in_mongodb(uri, database) if name.endswith(".chunks")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("agent", [MessagesAgent, ResponsesAgent])
def test_a_task_is_read_searched_exported_and_erased(
    installation: Installation, agent: type[Agent]
) -> None:
    installation.provider.then(*STEPS)
    path = "/v1/history/ana"
    with installation.service.client() as client:
        client.delete(path).raise_for_status()
        agent(client).do()
        assert [_count(installation, content) for content in LONG_CONTENTS] == [1, 1, 1, 1]

        (conversation,) = client.get(f"{path}/conversations").json()["conversations"]
        assert (conversation["turns"], conversation["title"]) == (3, QUESTION)
        of_task = {"conversationId": conversation["id"], "order": "asc"}
        turns = client.get(path, params=of_task).json()["history"]
        _check_turns(turns)
        for turn in turns:
            assert client.get(f"{path}/{turn['id']}").json() == turn
        picture = turns[0]["attachments"][0]["id"]
        assert client.get(f"{path}/attachments/{picture}").content == PICTURE

        for words, found in (("stone picture", [0]), ("zircon", [2]), ("zircon picture", [])):
            page = client.get(path, params={"q": words}).json()["history"]
            assert [turn["id"] for turn in page] == [turns[number]["id"] for number in found]

        exported = client.get(f"{path}/export", params={"format": "jsonl"})
        lines = [orjson.loads(line) for line in exported.iter_lines()]
        _check_turns(sorted(lines, key=lambda line: str(line["id"])))
        table = client.get(f"{path}/export", params={"format": "csv"}).text
        assert "It is a zircon." in table

        assert client.delete(f"{path}/{turns[1]['id']}").status_code == 204
        assert _count(installation, b"longresult") == 1  # the last turn has it too
        assert client.delete(path).json() == {"deleted": 2}
        assert client.get(path).json()["history"] == []
        assert client.get(f"{path}/conversations").json()["conversations"] == []
        assert client.get(f"{path}/export", params={"format": "jsonl"}).text == ""
        assert client.get(f"{path}/attachments/{picture}").status_code == 404
        assert [_count(installation, content) for content in LONG_CONTENTS] == [0, 0, 0, 0]


def _check_turns(turns: Sequence[dict[str, Any]]) -> None:
    """Check that each turn has what was new in it, whole."""
    assert [turn["userPrompt"] for turn in turns] == [QUESTION, "", ""]
    assert [turn["systemPrompt"] for turn in turns] == [INSTRUCTIONS] * 3
    assert [[file["mediaType"] for file in turn["attachments"]] for turn in turns] == [
        ["image/png"]
    ] * 3
    assert [turn.get("toolResults") for turn in turns] == [
        None,
        [{"callId": "call_a", "output": RESULT}],
        [{"callId": "call_b", "output": RESULT}],
    ]
    assert [turn.get("toolCalls") for turn in turns] == [
        [{"id": "call_a", "name": "read_file", "arguments": {"path": "a.txt"}}],
        [{"id": "call_b", "name": "read_file", "arguments": {"path": "b.txt"}}],
        None,
    ]
    assert [turn["response"] for turn in turns] == ["", "", "It is a zircon."]
    assert {turn["userId"] for turn in turns} == {"ana"}


def _count(installation: Installation, content: bytes) -> int:
    """Return how many kept contents have these bytes."""
    return sum(content in kept for kept in installation.kept())

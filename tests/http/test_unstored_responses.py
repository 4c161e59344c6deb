"""`store: false`: no word of a request or an answer is left in any file or log, however the request ends."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.entities.reply import FinishReason
from tests.e2e.two_tool_task import in_thread
from tests.fakes.behaviour import Behaviour, Breaks, Calls, Hangs, Refuses, Says, Thinks
from tests.fakes.http_provider import Seen
from tests.fakes.openai import FakeOpenAI
from tests.support.service import Service, running_service

MARK = b"canary"
IMAGE = b"\x89PNG\r\n\x1a\n" + b"canaryimage" * 20
LONG = "canarylong " * 10_000
KINDS = ("says", "calls", "refuses", "breaks", "hangs")


class Telling(FakeOpenAI):
    """Answers with marked words; the model decides how the answer ends."""

    def refusal_of(self, seen: Seen) -> None:
        """Accept everything: the rules of the fake do not know images."""

    def _default(self, seen: Seen) -> Behaviour:
        pieces = [Thinks("canarythought"), "canaryanswer "]
        match seen.body["model"]:
            case "calls":
                arguments = json.dumps({"q": LONG})
                called = [*pieces, Calls("find", arguments, id="call_1")]
                return Says(called, finish=FinishReason.TOOL_CALLS)
            case "refuses":
                return Refuses(500)
            case "breaks":
                return Breaks(pieces)
            case "hangs":
                return Hangs(pieces)
        return Says(pieces)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    provider = Telling()
    with in_thread(provider):
        file = tmp_path_factory.mktemp("models") / "models.toml"
        models = [
            f'[models.{kind}]\nprovider = "alt"\nupstream = "{kind}"\n'
            'capabilities = ["tools", "images", "json_schema"]'
            for kind in KINDS
        ]
        head = (
            f'default = "says"\n[providers.alt]\nkind = "openai"\nbase_url = "{provider.base_url}"'
            '\napi_key_env = "ALT_KEY"'
        )
        file.write_text("\n\n".join([head, *models]), encoding="utf-8")
        yield {
            "MODELS_FILE": str(file),
            "ALT_KEY": "test-key",
            "LOG_LEVEL": "debug",
            "RETRY_BASE_SECONDS": "0.01",
            "BREAKER_CONSECUTIVE_FAILURES": "1000",
            "BREAKER_MINIMUM_CALLS": "1000",
        }


def body(model: str, **more: object) -> dict[str, Any]:
    """Return a request with marked words wherever it has words."""
    image = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    return {
        "model": model,
        "user": "ana",
        "store": False,
        "instructions": LONG,
        "metadata": {"canarykey": "canaryvalue"},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {
                "type": "function",
                "name": "canarytool",
                "description": LONG,
                "parameters": {"type": "object", "properties": {}},
            },
            {"type": "function", "name": "find", "parameters": None},
        ],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "canaryquestion"},
                    {"type": "input_image", "image_url": image},
                ],
            },
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "canarysummary"}]},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"canary":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": LONG},
            {"role": "user", "content": "canaryafter"},
        ],
        **more,
    }


def traces(service: Service) -> dict[str, bytes]:
    """Return what has the mark: files and lines of the log."""
    files = {str(path): path.read_bytes() for path in service.data_dir.rglob("*") if path.is_file()}
    assert any(name.endswith("history.db") for name in files)
    found = {name: content for name, content in files.items() if MARK in content}
    encoded = (IMAGE, base64.b64encode(IMAGE)[:40])
    found |= {
        name: content for name, content in files.items() if any(text in content for text in encoded)
    }
    return found | {line: b"" for line in service.log if MARK.decode() in line}


def statuses(client: httpx2.Client) -> list[str]:
    every = [
        "completed",
        "truncated",
        "blocked",
        "client_cancelled",
        "failed",
        "interrupted",
    ]
    page = client.get("/v1/history/ana", params={"status": every, "limit": 100}).json()
    for turn in page["history"]:
        assert turn["stored"] is False
        assert turn["userPrompt"] == turn["response"] == ""
    return [turn["status"] for turn in page["history"]]


def test_nothing_is_left_of_requests_that_are_not_stored(
    settings: dict[str, str], data_dir: Path
) -> None:
    interrupted = {**settings, "INTERRUPTED_GRACE_SECONDS": "1", "STREAM_TOTAL_SECONDS": "5"}
    with running_service(data_dir, interrupted) as service:
        with service.client() as client:
            answers = [
                client.post(
                    "/v1/responses",
                    json=body(model, stream=is_stream),
                    headers={"Idempotency-Key": f"{model}-{is_stream}"},
                )
                for model in ("says", "calls", "refuses", "breaks")
                for is_stream in (False, True)
            ]
            assert sum(answer.is_success for answer in answers) >= 5
            assert "canaryanswer " in answers[0].text
            with client.stream("POST", "/v1/responses", json=body("hangs", stream=True)) as left:
                assert next(left.iter_text())
        with service.client() as client:
            deadline = time.monotonic() + 10
            while "client_cancelled" not in statuses(client):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with (
            service.client() as client,
            client.stream("POST", "/v1/responses", json=body("hangs", stream=True)) as killed,
        ):
            assert next(killed.iter_text())
            service.kill()
        assert traces(service) == {}
    with running_service(data_dir, interrupted) as service, service.client() as client:
        found = statuses(client)
        assert traces(service) == {}
    assert {"completed", "failed", "truncated", "client_cancelled"} <= set(found)


def test_the_same_requests_leave_traces_when_they_are_stored(
    settings: dict[str, str], data_dir: Path
) -> None:
    with running_service(data_dir, settings) as service, service.client() as client:
        assert client.post("/v1/responses", json=body("calls", store=True)).is_success
        assert traces(service)

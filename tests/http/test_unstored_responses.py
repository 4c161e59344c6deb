"""`store: false`: no word of a request or an answer is stored anywhere or logged, however the request ends."""

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.entities.reply import FinishReason
from tests.e2e.two_tool_task import in_thread
from tests.fakes.behaviour import Behaviour, Blocks, Breaks, Calls, Hangs, Refuses, Says, Thinks
from tests.fakes.http_provider import Seen
from tests.fakes.openai import FakeOpenAI, error
from tests.support.aws_emulator import shared_emulator
from tests.support.cloud_path import until
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import Service, running_service, watched_worker
from tests.support.stored_bytes import (
    Stored,
    stored_in_aws,
    stored_in_files,
    stored_in_mongodb,
)

MARK = b"canary"
IMAGE = b"\x89PNG\r\n\x1a\n" + b"canaryimage" * 20
LONG = "canarylong " * 10_000
PLAIN = "plain"
"""The model that says nothing that is marked."""
KINDS = ("says", "calls", "blocks", "moderates", "refuses", "quotes", "breaks", "hangs", PLAIN)
WORDS = frozenset(
    f"canary{word}"
    for word in (
        *("question", "summary", "arguments", "result", "after"),
        *("instructions", "key", "value", "tool", "described", "parameter"),
        *("thought", "answer", "called"),
    )
)
"""What is marked in a request and its answer, where a store keeps it."""


class Telling(FakeOpenAI):
    """Answers with marked words; the model decides how the answer ends."""

    def refusal_of(self, seen: Seen) -> None:
        """Accept everything: the rules of the fake do not know images."""

    def _default(self, seen: Seen) -> Behaviour:
        pieces = [Thinks("canarythought"), "canaryanswer "]
        match seen.body["model"]:
            case "calls":
                arguments = json.dumps({"q": f"canarycalled {LONG}"})
                called = [*pieces, Calls("find", arguments, id="call_1")]
                return Says(called, finish=FinishReason.TOOL_CALLS)
            case "blocks":
                return Blocks(pieces)
            case "moderates":
                return Blocks()
            case "refuses":
                return Refuses(500)
            case "quotes":
                return error(400, message="canaryquoted is not understood")
            case "breaks":
                return Breaks(pieces)
            case "hangs":
                return Hangs(pieces)
            case "plain":
                return Says(["Fine."])
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
            "INTERRUPTED_GRACE_SECONDS": "1",
            "STREAM_TOTAL_SECONDS": "10",
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
        "instructions": f"canaryinstructions {LONG}",
        "metadata": {"canarykey": "canaryvalue"},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {
                "type": "function",
                "name": "canarytool",
                "description": f"canarydescribed {LONG}",
                "parameters": {"type": "object", "properties": {"canaryparameter": {}}},
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
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "find",
                "arguments": '{"canaryarguments":1}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": f"canaryresult {LONG}"},
            {"role": "user", "content": "canaryafter"},
        ],
        **more,
    }


@dataclass(frozen=True)
class Installation:
    """A service's stores.

    Attributes:
        settings: That choose them.
        stored: Lists what they hold.
        has_worker: A queue lies before them.
        marks_starts: What was interrupted is recorded.
    """

    settings: Mapping[str, str]
    stored: Callable[[], Iterable[Stored]] = lambda: ()
    has_worker: bool = False
    marks_starts: bool = True


def installation(name: str) -> Installation:
    """Return new stores of this kind."""
    no_outbox = {"OUTBOX_ENABLED": "false"}
    if name == "embedded":
        return Installation({})
    if name.startswith("mongodb"):
        uri, database = shared_mongo_uri(), f"unstored_{secrets.token_hex(4)}"
        settings = {"MONGO_URI": uri, "MONGO_DB": database}
        has_outbox = name == "mongodb"
        return Installation(
            settings if has_outbox else settings | no_outbox,
            lambda: stored_in_mongodb(uri, database),
            marks_starts=has_outbox,
        )
    stack = deploy_data_stack(shared_emulator())
    if name.startswith("sqs"):
        has_outbox = name == "sqs"
        return Installation(
            stack.settings if has_outbox else stack.settings | no_outbox,
            lambda: stored_in_aws(stack),
            has_worker=True,
            marks_starts=has_outbox,
        )
    settings = {key: value for key, value in stack.settings.items() if not key.startswith("SQS")}
    has_outbox = name == "dynamodb"
    return Installation(
        settings if has_outbox else settings | no_outbox,
        lambda: stored_in_aws(stack),
        marks_starts=has_outbox,
    )


STORES = (
    "embedded",
    "mongodb",
    "mongodb without outbox",
    "dynamodb",
    "dynamodb without outbox",
    "sqs",
    "sqs without outbox",
)
IMAGE_FORMS = (IMAGE, base64.b64encode(IMAGE)[:40])


def all_of(installed: Installation, folder: Path, *logged: Service) -> list[Stored]:
    """Return all that the installation holds: files, stores, and the logs of its processes."""
    logs = [("log", line.encode()) for process in logged for line in process.log]
    return [*stored_in_files(folder), *installed.stored(), *logs]


def traces(found: Iterable[Stored]) -> list[Stored]:
    """Return what has a marked word or the image, and its surroundings."""
    forms = (MARK, *IMAGE_FORMS)
    return [
        (name, content[max(0, at - 60) : at + 60])
        for name, content in found
        for form in forms
        if (at := content.find(form)) >= 0
    ]


EVERY_STATUS = (
    *("completed", "truncated", "blocked"),
    *("client_cancelled", "failed", "interrupted"),
)


def history(client: httpx2.Client) -> list[dict[str, Any]]:
    query: dict[str, Any] = {"status": EVERY_STATUS, "limit": 100}
    page = client.get("/v1/history/ana", params=query)
    assert page.status_code == 200, page.text
    turns: list[dict[str, Any]] = page.json()["history"]
    return turns


def continue_a_stored_response(client: httpx2.Client) -> None:
    """Send what is not stored after what is, by both ways to continue."""
    plain = {"model": PLAIN, "user": "ana", "input": "How are you?"}
    stored = client.post("/v1/responses", json=plain)
    assert stored.status_code == 200, stored.text
    conversation = client.post("/v1/conversations", json={"user": "ana"}).json()["id"]
    begun = client.post("/v1/responses", json={**plain, "conversation": conversation})
    assert begun.status_code == 200, begun.text
    for continued in (
        {"previous_response_id": stored.json()["id"]},
        {"conversation": conversation},
    ):
        for is_stream in (False, True):
            answer = client.post("/v1/responses", json=body("says", stream=is_stream, **continued))
            assert answer.status_code == 200, answer.text
            assert "canaryanswer " in answer.text


def send_all(client: httpx2.Client) -> None:
    """Send a request for each way in which an answer ends while its client waits for it."""
    answers = {
        (model, is_stream): client.post(
            "/v1/responses",
            json=body(model, stream=is_stream),
            headers={"Idempotency-Key": f"{model}-{is_stream}"},
        )
        for model in KINDS
        if model not in ("hangs", PLAIN)
        for is_stream in (False, True)
    }
    schema = {"type": "object", "properties": {"canaryschema": {"type": "string"}}}
    form = {"type": "json_schema", "name": "canaryform", "schema": schema}
    unlike = client.post("/v1/responses", json=body("says", text={"format": form}))
    for model, is_stream in answers:
        if model in ("says", "calls", "blocks"):
            answer = answers[model, is_stream]
            assert answer.status_code == 200, answer.text
            assert "canaryanswer " in answer.text
    for model in ("refuses", "quotes"):
        assert answers[model, False].is_error
    assert unlike.is_error
    repeated = client.post(
        "/v1/responses", json=body("says", stream=False), headers={"Idempotency-Key": "says-False"}
    )
    assert not repeated.is_server_error


def leave(client: httpx2.Client) -> None:
    """Leave a stream in the middle of its answer."""
    with client.stream("POST", "/v1/responses", json=body("hangs", stream=True)) as answer:
        until_marked(answer.iter_text())


def until_marked(pieces: Iterator[str]) -> None:
    """Read up to a marked word. The connection is closed with the last reference to the iterator."""
    text = ""
    for piece in pieces:
        text += piece
        if "canaryanswer " in text:
            return
    raise AssertionError(text)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_left_of_requests_that_are_not_stored(
    settings: dict[str, str], data_dir: Path, store: str
) -> None:
    installed = installation(store)
    all_settings = {**settings, **installed.settings}

    def worker(stack: ExitStack) -> list[Service]:
        if not installed.has_worker:
            return []
        return [stack.enter_context(watched_worker(data_dir.parent / "worker", all_settings))]

    with running_service(data_dir, all_settings) as service, service.client() as client:
        with ExitStack() as stack:
            workers = worker(stack)
            continue_a_stored_response(client)
            for started in workers:
                assert started.stop() == 0
        # from here on a queue holds what it is given
        send_all(client)
        leave(client)
        found = all_of(installed, data_dir.parent, service, *workers)
        assert traces(found) == []
        assert service.stop() == 0
    found = all_of(installed, data_dir.parent, service)
    assert traces(found) == []
    if installed.has_worker:
        assert any(name.startswith("message") for name, _ in found)

    with (
        running_service(data_dir, all_settings) as service,
        service.client() as client,
        client.stream("POST", "/v1/responses", json=body("hangs", stream=True)) as killed,
    ):
        pieces = killed.iter_text()
        until_marked(pieces)
        if installed.marks_starts:
            started = killed.headers["x-interaction-id"].encode()
            until(lambda: any(started in content for _, content in stored_in_files(data_dir)))
        service.kill()
    assert traces(all_of(installed, data_dir.parent, service)) == []

    expected = {"completed", "truncated", "blocked", "failed", "client_cancelled"}
    if installed.marks_starts:
        expected.add("interrupted")
    with ExitStack() as stack:
        workers = worker(stack)
        service = stack.enter_context(running_service(data_dir, all_settings))
        client = stack.enter_context(service.client())
        lacking = set(expected)

        def has_every_status() -> bool:
            lacking.difference_update(turn["status"] for turn in history(client))
            return not lacking

        until(has_every_status)
        found = all_of(installed, data_dir.parent, service, *workers)
        assert traces(found) == []
        unstored = [turn for turn in history(client) if turn.get("stored") is False]
        assert {turn["status"] for turn in unstored} >= expected
        assert all(turn["userPrompt"] == turn["response"] == "" for turn in unstored)
        assert all(turn["model"] != PLAIN for turn in unstored)


@pytest.mark.parametrize("store", STORES)
def test_the_same_requests_leave_every_word_when_they_are_stored(
    settings: dict[str, str], data_dir: Path, store: str
) -> None:
    installed = installation(store)
    all_settings = {**settings, **installed.settings}
    with running_service(data_dir, all_settings) as service, service.client() as client:
        answer = client.post("/v1/responses", json=body("calls", store=True))
        assert answer.status_code == 200, answer.text
        found: list[Stored] = []

        def is_complete() -> bool:
            found[:] = all_of(installed, data_dir.parent)
            return not missing(found)

        if not installed.has_worker:
            until(is_complete)
            return
        # a queue holds the row, and what exceeds it is in the store already
        until(is_complete)
        with watched_worker(data_dir.parent / "worker", all_settings):
            until(lambda: history(client))
            in_store = all_of(installed, data_dir.parent)
            assert not missing(in_store)


def missing(found: Iterable[Stored]) -> set[str]:
    """Return the marked words, and `image`, that nothing has."""
    content = b"\n".join([content for _, content in found])
    lacking = {word for word in WORDS if word.encode() not in content}
    return lacking if IMAGE in content else lacking | {"image"}

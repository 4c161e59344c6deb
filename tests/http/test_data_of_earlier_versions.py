"""What earlier versions stored, in each store, is shown, continued, exported and erased by this one."""

import base64
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pymongo
import pytest

from tests.fakes.behaviour import Says
from tests.support.aws_emulator import shared_emulator
from tests.support.cloud_path import until
from tests.support.data_stack import DataStack, client_of, deploy_data_stack
from tests.support.earlier_versions import (
    CURSOR_SECRET,
    INCOMPLETE_EXPORTS,
    VERSIONS,
    json_in,
    load_dynamodb,
    load_mongo,
    unpack,
)
from tests.support.mongod import shared_mongo_uri
from tests.support.service import command, running_service, watched_worker
from tests.support.tool_loops import StrictProviders, calls_sent, results_sent, strict_providers

STATUSES = ["completed", "truncated", "blocked", "client_cancelled", "failed", "interrupted"]
HISTORY = "/v1/history/ben"


@dataclass(frozen=True)
class Stored:
    """A history of an earlier version in its store.

    Attributes:
        folder: The unpacked archive.
        shown: What that version answered to reads of it.
        settings: Of a service that uses the store.
        left: Returns how many documents, items or objects of ben the store has, beside tombstones.
    """

    version: str
    folder: Path
    shown: dict[str, Any]
    data_dir: Path
    settings: dict[str, str]
    left: Callable[[], int]

    def is_before(self, version: str) -> bool:
        """Return whether this version is that one or an earlier one."""
        return VERSIONS.index(self.version) <= VERSIONS.index(version)


def in_sqlite(folder: Path, data_dir: Path) -> tuple[dict[str, str], Callable[[], int]]:
    shutil.copytree(folder / "sqlite" / "data", data_dir)
    users = data_dir / "attachments" / "users"
    return {}, lambda: len([path for path in users.rglob("*") if path.is_file()])


def in_mongo(folder: Path, _data_dir: Path) -> tuple[dict[str, str], Callable[[], int]]:
    settings = new_database()
    load_mongo(folder, settings["MONGO_URI"], settings["MONGO_DB"])
    return settings, lambda: documents_of_ben(settings)


def in_dynamodb(folder: Path, _data_dir: Path) -> tuple[dict[str, str], Callable[[], int]]:
    stack = deploy_data_stack(shared_emulator())
    load_dynamodb(folder, stack)
    settings = {name: value for name, value in stack.settings.items() if "SQS" not in name}
    return settings, lambda: items_of_ben(stack)


STORES = {"sqlite": in_sqlite, "mongo": in_mongo, "dynamodb": in_dynamodb}


def new_database() -> dict[str, str]:
    return {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"earlier_{secrets.token_hex(4)}"}


def documents_of_ben(settings: dict[str, str]) -> int:
    with pymongo.MongoClient[dict[str, Any]](settings["MONGO_URI"]) as client:
        database = client[settings["MONGO_DB"]]
        return (
            database["interactions"].count_documents({"userId": "ben"})
            + database["conversations"].count_documents({"_id": {"$regex": "^ben/"}})
            + database["attachments.files"].count_documents({})
            + database["attachments.chunks"].count_documents({})
        )


def items_of_ben(stack: DataStack) -> int:
    items = client_of(stack.emulator, "dynamodb").scan(TableName=stack.table)["Items"]
    objects = client_of(stack.emulator, "s3").list_objects_v2(Bucket=stack.bucket)
    kinds = [item["pk"]["S"].partition("#")[0] for item in items if item["pk"]["S"][1:] == "#ben"]
    return len(objects.get("Contents", ())) + len([kind for kind in kinds if kind in "UPR"])


@pytest.fixture(scope="module")
def providers() -> Iterator[StrictProviders]:
    with strict_providers() as providers:
        yield providers


@pytest.fixture
def provider_settings(providers: StrictProviders, tmp_path: Path) -> dict[str, str]:
    return providers.settings(tmp_path) | {"CURSOR_SECRET": CURSOR_SECRET}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=STORES)
def stored(
    request: pytest.FixtureRequest,
    version: str,
    tmp_path: Path,
    data_dir: Path,
    provider_settings: dict[str, str],
) -> Stored:
    folder = unpack(version, tmp_path)
    settings, left = STORES[request.param](folder, data_dir)
    shown = json_in(folder / request.param / "shown.json")
    return Stored(version, folder, shown, data_dir, provider_settings | settings, left)


def pages(client: httpx2.Client, path: str, name: str, **parameters: Any) -> list[Any]:
    """Return the entries of all pages, which are small."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(path, params={"limit": 7, **parameters, **cursor})
        assert page.status_code == 200, page.text
        found += page.json()[name]
        if page.json()["nextCursor"] is None:
            return found
        cursor = {"cursor": page.json()["nextCursor"]}


def history(client: httpx2.Client, **parameters: Any) -> list[Any]:
    return pages(client, HISTORY, "history", order="asc", **parameters)


def check_all_is_shown_as_before(client: httpx2.Client, shown: dict[str, Any]) -> None:
    interactions = history(client, status=STATUSES)
    assert interactions == shown["history"]
    for interaction in shown["history"]:
        assert client.get(f"{HISTORY}/{interaction['id']}").json() == interaction
    assert [one["id"] for one in history(client, q="TESTE só")] == shown["found"]
    conversations = pages(client, f"{HISTORY}/conversations", "conversations")
    assert conversations == shown["conversations"]
    statistics = client.get(f"{HISTORY}/stats").json()
    for group in statistics["groups"]:  # counts that earlier versions did not have
        assert (group.pop("cachedInputTokens"), group.pop("cacheWriteTokens")) == (0, 0)
    assert statistics == shown["statistics"]
    for attachment, content in shown["attachments"].items():
        loaded = client.get(f"{HISTORY}/attachments/{attachment}")
        assert loaded.content == base64.b64decode(content)
    for path, document in shown["documents"].items():
        assert client.get(path, params={"user": "ben"}).json() == document
    lines = client.get(f"{HISTORY}/export").text.splitlines()
    assert sorted(json.loads(line)["id"] for line in lines if '"status"' in line) == [
        interaction["id"] for interaction in shown["history"]
    ]


def check_conversations_go_on(
    client: httpx2.Client, providers: StrictProviders, stored: Stored
) -> None:
    def turns_of(conversation_id: str) -> list[Any]:
        return [
            turn for turn in stored.shown["history"] if turn["conversationId"] == conversation_id
        ]

    def ask(conversation_id: str) -> Any:
        asked = {"userId": "ben", "userPrompt": "go on", "conversationId": conversation_id}
        response = client.post("/v1/chat", json={"model": "alt", **asked})
        assert response.status_code == 200, response.text
        return providers.alt.seen[-1].body

    seen = ask("talk")["messages"]
    texts = [text for turn in turns_of("talk") for text in (turn["userPrompt"], turn["response"])]
    assert [message["content"] for message in seen] == [*texts, "go on"]
    if not stored.is_before("before_items"):
        sent = ask("tools")
        made = [call for turn in turns_of("tools") for call in turn.get("toolCalls", ())]
        assert calls_sent(sent) == [(call["id"], call["name"]) for call in made]
        results = dict(results_sent(sent))
        assert list(results) == [call["id"] for call in made]
        assert json.loads(results[made[0]["id"]]) == {"celsius": 22}
        assert "not carried out" in results[made[-1]["id"]]
    if not stored.is_before("before_attachments"):
        (image,) = stored.shown["attachments"].values()
        assert f"data:image/png;base64,{image}" in json.dumps(ask("images"))
        results = dict(results_sent(ask("longtool")))
        given = turns_of("longtool")[1]["toolResults"]
        assert list(results) == [result["callId"] for result in given]
        assert results[given[0]["callId"]] == given[0]["output"]
    assert providers.refused() == []


def check_erasures(client: httpx2.Client, stored: Stored) -> None:
    first = stored.shown["history"][0]["id"]
    assert client.delete(f"{HISTORY}/{first}").status_code == 204
    assert client.get(f"{HISTORY}/{first}").status_code == 404
    assert client.delete(HISTORY).status_code == 200
    assert history(client, status=STATUSES) == []
    assert pages(client, f"{HISTORY}/conversations", "conversations") == []
    for attachment in stored.shown["attachments"]:
        assert client.get(f"{HISTORY}/attachments/{attachment}").status_code == 404
    for path in stored.shown["documents"]:
        assert client.get(path, params={"user": "ben"}).status_code == 404
    until(lambda: stored.left() == 0)


@pytest.mark.slow
def test_a_store_of_an_earlier_version_is_read_continued_and_erased(
    stored: Stored, providers: StrictProviders
) -> None:
    providers.alt.default = Says(["An answer."])
    with running_service(stored.data_dir, stored.settings) as service, service.client() as client:
        check_all_is_shown_as_before(client, stored.shown)
        check_conversations_go_on(client, providers, stored)
        check_erasures(client, stored)


@pytest.mark.slow
def test_an_outbox_of_an_earlier_version_is_delivered_to_the_store(
    version: str, tmp_path: Path, data_dir: Path, provider_settings: dict[str, str]
) -> None:
    folder = unpack(version, tmp_path)
    shutil.copytree(folder / "outbox" / "data", data_dir)
    shown = json_in(folder / "outbox" / "shown.json")
    database = new_database()
    settings = provider_settings | database
    with running_service(data_dir, settings):
        until(lambda: interactions_in(database) == len(shown["history"]))
    # A service of another host, which has no outbox, reads the store alone.
    with running_service(tmp_path / "other", settings) as other, other.client() as client:
        check_all_is_shown_as_before(client, shown)


@pytest.mark.slow
def test_messages_of_an_earlier_version_are_stored_by_the_worker(
    version: str, tmp_path: Path, data_dir: Path, provider_settings: dict[str, str]
) -> None:
    folder = unpack(version, tmp_path)
    shown = json_in(folder / "mongo" / "shown.json")
    stack = deploy_data_stack(shared_emulator())
    queue = {name: value for name, value in stack.settings.items() if name != "DYNAMODB_TABLE"}
    database = new_database()
    for collection in ("attachments", "conversations"):  # which do not go through the queue
        load_mongo(folder, database["MONGO_URI"], database["MONGO_DB"], only=collection)
    for message in json_in(folder / "queue.json"):
        client_of(stack.emulator, "sqs").send_message(
            QueueUrl=stack.queues.queue_url, MessageBody=message
        )
    settings = provider_settings | queue | database
    with watched_worker(tmp_path / "worker", settings) as worker:
        until(lambda: interactions_in(database) == len(shown["history"]))
        worker.kill()  # it would wait for further messages first
    with running_service(data_dir, settings) as service, service.client() as client:
        check_all_is_shown_as_before(client, shown)


@pytest.mark.parametrize("version", [one for one in VERSIONS if one not in INCOMPLETE_EXPORTS])
def test_a_file_that_an_earlier_version_exported_is_imported_whole(
    version: str, tmp_path: Path, data_dir: Path
) -> None:
    exported = unpack(version, tmp_path) / "export.jsonl"
    for arguments in (("import", str(exported)), ("export", str(tmp_path / "again.jsonl"))):
        done = command(data_dir, *arguments)
        assert done.returncode == 0, done.stderr
    again = (tmp_path / "again.jsonl").read_bytes()
    assert again.splitlines() == exported.read_bytes().splitlines()


def interactions_in(database: dict[str, str]) -> int:
    with pymongo.MongoClient[dict[str, Any]](database["MONGO_URI"]) as client:
        return client[database["MONGO_DB"]]["interactions"].count_documents({})

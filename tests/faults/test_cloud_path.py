"""API and worker as processes of their own, with SQS between them and DynamoDB behind: the way through the cloud."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import httpx2
import pytest

from infra.storage.aws.client import open_client
from tests.support.aws_emulator import AwsEmulator, shared_emulator
from tests.support.cloud_path import chat, depth, ids_of, running_worker, until
from tests.support.data_stack import deploy_data_stack
from tests.support.service import ROOT, environment, running_service


@pytest.fixture
def emulator() -> AwsEmulator:
    return shared_emulator()


@pytest.fixture
def settings(emulator: AwsEmulator) -> dict[str, str]:
    return deploy_data_stack(emulator).settings


@pytest.mark.parametrize("outbox", ["true", "false"])
def test_what_was_answered_is_in_history_once_the_worker_had_it(
    tmp_path: Path, emulator: AwsEmulator, settings: dict[str, str], outbox: str
) -> None:
    settings["OUTBOX_ENABLED"] = outbox
    with (
        running_service(tmp_path / "data", settings) as service,
        running_worker(tmp_path / "worker", settings) as worker,
        service.client() as client,
    ):
        asked = [chat(client) for _ in range(30)]
        page = client.get("/v1/history/ana", params={"afterId": asked[-1], "wait": 5}).json()
        assert page["complete"] is True
        assert page["history"][0]["id"] == asked[-1]
        until(lambda: ids_of(client) == asked)
        assert client.delete("/v1/history/ana").json() == {"deleted": 30}
        assert ids_of(client) == []
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        until(lambda: depth(emulator, settings["SQS_QUEUE_URL"]) == 0)
        assert depth(emulator, settings["SQS_QUEUE_URL"] + "-dlq") == 0
        assert service.stop() == 0


@pytest.mark.seen("F3")
@pytest.mark.parametrize("outbox", ["true", "false"])
def test_figures_and_conversations_hold_what_the_worker_has_stored_and_say_so(
    tmp_path: Path, settings: dict[str, str], outbox: str
) -> None:
    settings["OUTBOX_ENABLED"] = outbox

    def counted(client: httpx2.Client) -> tuple[list[int], list[int]]:
        figures = client.get("/v1/history/ana/stats?by=model")
        conversations = client.get("/v1/history/ana/conversations")
        assert (figures.status_code, conversations.status_code) == (200, 200)
        return (
            [one["interactions"] for one in figures.json()["groups"]],
            [one["turns"] for one in conversations.json()["conversations"]],
        )

    with running_service(tmp_path / "data", settings) as service, service.client() as client:
        for _ in range(3):
            body = {"userId": "ana", "userPrompt": "hi", "conversationId": "c"}
            last = client.post("/v1/chat", json=body).json()["id"]
        assert counted(client) == ([], [])
        with running_worker(tmp_path / "worker", settings):
            until(lambda: client.get(f"/v1/history/ana/{last}").status_code == 200)
            until(lambda: counted(client) == ([3], [3]))
        paths = client.get("/openapi.json").json()["paths"]
        for name in ("stats", "conversations"):
            said = " ".join(paths[f"/v1/history/{{userId}}/{name}"]["get"]["description"].split())
            assert "once a worker has stored it" in said


def test_dead_letters_are_looked_at_and_sent_back(
    tmp_path: Path, emulator: AwsEmulator, settings: dict[str, str]
) -> None:
    def redrive(*options: str) -> str:
        """Return what it says to somebody at a terminal."""
        ours, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        ran = subprocess.run(
            [sys.executable, str(ROOT / "main.py"), "redrive", *options],
            cwd=tmp_path,
            env=environment(tmp_path / "data", settings),
            stdout=subprocess.PIPE,
            stderr=terminal,
            timeout=60,
            check=False,
        )
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        os.close(terminal)
        assert ran.returncode == 0, shown
        assert "redrive: " in shown, "a bar shows how far it is"
        return ran.stdout.decode()

    async def send(url: str, *bodies: str) -> None:
        async with open_client("sqs", emulator.access, tries=1) as sqs:
            for body in bodies:
                await sqs("send_message", QueueUrl=url, MessageBody=body)

    async def take(url: str) -> str:
        async with open_client("sqs", emulator.access, tries=1) as sqs:
            answer = await sqs("receive_message", QueueUrl=url)
            (message,) = answer["Messages"]
            await sqs("delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return str(message["Body"])

    url, dead_url = settings["SQS_QUEUE_URL"], settings["SQS_QUEUE_URL"] + "-dlq"
    with running_service(tmp_path / "data", settings) as service, service.client() as client:
        kept, erased = chat(client), chat(client)
        until(lambda: depth(emulator, url) == 2)
        bodies = [asyncio.run(take(url)) for _ in range(2)]
        asyncio.run(send(dead_url, *bodies, json.dumps({"v": 99})))
        assert client.delete(f"/v1/history/ana/{erased}").status_code == 204

        told = redrive("--dry-run")
        assert "1 would be sent back" in told
        assert "1 would be deleted" in told
        assert depth(emulator, dead_url) == 3
        told = redrive()
        assert "1 sent back" in told
        assert "1 deleted" in told
        assert (depth(emulator, url), depth(emulator, dead_url)) == (1, 1)
        with running_worker(tmp_path / "worker", settings):
            until(lambda: ids_of(client) == [kept])

"""A worker process, and a service and a queue observed from outside."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from infra.storage.aws.client import open_client
from tests.support.aws_emulator import AwsEmulator
from tests.support.prefork import ForkedProcess
from tests.support.service import environment, prefork

PATIENT_SECONDS = 120.0


@contextmanager
def running_worker(data_dir: Path, settings: Mapping[str, str]) -> Iterator[ForkedProcess]:
    """`python main.py worker`, at work."""
    process = prefork().start(["worker"], cwd=data_dir.parent, env=environment(data_dir, settings))
    lines: list[bytes] = []
    started = threading.Event()

    def read() -> None:
        for line in process.stdout:
            lines.append(line)
            if b"worker started" in line:
                started.set()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        assert started.wait(60), lines
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(120)
        reading.join(5)
        process.stdout.close()


def chat(client: httpx2.Client, user: str = "ana", prompt: str = "hi") -> str:
    response = client.post("/v1/chat", json={"userId": user, "userPrompt": prompt})
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def ids_of(client: httpx2.Client, user: str = "ana", **parameters: Any) -> list[str]:
    """Return the ids of the whole history, oldest first."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": 100, "order": "asc", **parameters, **cursor}
        page = client.get(f"/v1/history/{user}", params=query)
        assert page.status_code == 200, page.text
        found += [item["id"] for item in page.json()["history"]]
        if page.json()["nextCursor"] is None:
            return found
        cursor = {"cursor": page.json()["nextCursor"]}


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def depth(emulator: AwsEmulator, url: str) -> int:
    """Return how many messages a queue has, held ones included."""

    async def ask() -> int:
        async with open_client("sqs", emulator.access, tries=1) as sqs:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            answer = await sqs("get_queue_attributes", QueueUrl=url, AttributeNames=names)
            return sum([int(answer["Attributes"][name]) for name in names])

    return asyncio.run(ask())

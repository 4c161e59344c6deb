"""Background answers of real processes: begun, followed over crashes, and checked."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson

from tests.support.aws_emulator import shared_emulator
from tests.support.cloud_path import running_worker
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import Service, plain_client

PATIENCE_SECONDS = 120.0
OF_ONE_HOST = ("embedded", "mongodb", "dynamodb", "sqs")
"""The log is on the host's disk."""
OF_ALL_HOSTS = ("mongodb direct", "dynamodb direct")
"""The log is in the store."""


@contextmanager
def store_settings(store: str, folder: Path, settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield settings that select a store, with a worker beside it if there is a queue."""
    name, _, direct = store.partition(" ")
    chosen = dict(settings)
    with ExitStack() as stack:
        if name == "mongodb":
            chosen |= {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"bg_{secrets.token_hex(4)}"}
        elif name in ("dynamodb", "sqs"):
            deployed = deploy_data_stack(shared_emulator()).settings
            if name == "dynamodb":
                deployed = {key: deployed[key] for key in deployed if not key.startswith("SQS")}
            chosen |= deployed
        if direct:
            chosen["OUTBOX_ENABLED"] = "false"
        if name == "sqs":
            stack.enter_context(running_worker(folder / "worker", chosen))
        yield chosen


class Reader:
    """Follows one answer of ana's in a thread of its own, from process to process, until its end.

    Attributes:
        events: The events, as they were received.
        connections: How often it has connected.
    """

    def __init__(self, interaction_id: str, url: Callable[[], str | None]) -> None:
        """Begin to read.

        Args:
            interaction_id: The answer.
            url: Returns the process to read from; None: none is up.
        """
        self.events: list[bytes] = []
        self.times: list[float] = []
        self.connections = 0
        self.failure: AssertionError | None = None
        self._interaction_id = interaction_id
        self._url = url
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def whole(self) -> bytes:
        """Wait for the end and return all events."""
        self._thread.join(PATIENCE_SECONDS)
        if self.failure is not None:
            raise self.failure
        assert self.is_ended, f"no end after {self.events[-3:]}"
        return b"".join(self.events)

    @property
    def is_ended(self) -> bool:
        """Whether the last event has been received."""
        return bool(self.events) and name_of(self.events[-1]) in ("done", "error")

    def _run(self) -> None:
        try:
            while not self.is_ended and time.monotonic() < self._deadline:
                url = self._url()
                if url is None or not self._read(url):
                    time.sleep(0.02)
        except AssertionError as failure:
            self.failure = failure

    def _read(self, url: str) -> bool:
        headers = {"Last-Event-ID": str(len(self.events) - 1)} if self.events else {}
        path = f"/v1/history/ana/{self._interaction_id}/events"
        rest = b""
        try:
            with (
                plain_client(url, PATIENCE_SECONDS) as client,
                client.stream("GET", path, headers=headers) as response,
            ):
                if response.status_code != 200:
                    return False
                self.connections += 1
                for piece in response.iter_raw():
                    *events, rest = (rest + piece).replace(b": ping\n", b"").split(b"\n\n")
                    for event in events:
                        number = int(event.split(b"\n")[0].removeprefix(b"id: "))
                        assert number == len(self.events), (number, len(self.events))
                        self.events.append(event + b"\n\n")
                        self.times.append(time.monotonic())
        except (httpx2.TransportError, OSError):
            return False
        return True


@dataclass
class Answers:
    """What a client of several processes does and checks.

    Attributes:
        current: The process that requests go to; None: none is up.
    """

    current: Service | None = None
    begun: dict[str, str] = field(default_factory=dict)

    def url(self) -> str | None:
        """Return the address of the current process."""
        return None if self.current is None else self.current.url

    def begin(self, question: str, **body: Any) -> str:
        """Begin ana's answer and return its id."""
        assert self.current is not None
        with self.current.client() as client:
            response = client.post(
                "/v1/chat",
                json={"userId": "ana", "userPrompt": question, "background": True, **body},
            )
        assert response.status_code == 202, response.text
        interaction_id: str = response.json()["id"]
        self.begun[interaction_id] = question
        return interaction_id

    def reader(self, interaction_id: str) -> Reader:
        """Follow an answer from its beginning."""
        return Reader(interaction_id, self.url)

    def kept(self, interaction_id: str) -> dict[str, Any]:
        """Return the interaction as history has it, once it has its outcome."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while found.get("status", "in_progress") == "in_progress":
            assert time.monotonic() < deadline, found
            assert self.current is not None
            with self.current.client() as client:
                response = client.get(f"/v1/history/ana/{interaction_id}")
            if response.status_code == 200:
                found = response.json()
            time.sleep(0.02)
        return found

    def in_progress(self) -> list[str]:
        """Return the ids of ana's answers in progress."""
        assert self.current is not None
        with self.current.client() as client:
            parameters = {"status": "in_progress", "limit": 100}
            page = client.get("/v1/history/ana", params=parameters).json()
        return [each["id"] for each in page["history"]]


def name_of(event: bytes) -> str:
    """Return the name of an event."""
    return event.split(b"\n")[1].removeprefix(b"event: ").decode()


def data_of(event: bytes) -> dict[str, Any]:
    """Return the data of an event."""
    data: dict[str, Any] = orjson.loads(event.split(b"\n")[2].removeprefix(b"data: "))
    return data


def names_of(events: Sequence[bytes]) -> list[str]:
    """Return the names of events, successive deltas as one."""
    names: list[str] = []
    for event in events:
        if not (names and names[-1] == name_of(event) == "delta"):
            names.append(name_of(event))
    return names


def text_of(events: Sequence[bytes]) -> str:
    """Return the text that a client has after these events."""
    text = ""
    for event in events:
        if name_of(event) == "restart":
            text = ""
        elif name_of(event) == "delta":
            text += data_of(event)["text"]
    return text


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait until something holds, and return for how long; fail after so many seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not so after {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - started

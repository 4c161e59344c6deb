"""Background answers of the complete application over fakes, read event by event."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from starlette.types import ASGIApp

from domain.entities.background.log import LogRecord
from domain.entities.model import Model
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.entities.tools import Capability
from tests.fakes.application import ApplicationUnderTest, SeveralModels, lifespan
from tests.fakes.model import Step

SELECTED = ProviderSelected(provider="p", model="m")
CONTINUING = ProviderSelected(provider="p", model="m", continues=True)
END = Reply(finish_reason=FinishReason.STOP)
ANSWER: tuple[Step, ...] = (SELECTED, "Hello", END)
PATIENCE_SECONDS = 120.0
MODELS = SeveralModels(
    Model(
        id="m",
        owned_by="p",
        context_tokens=1000,
        max_output_tokens=100,
        capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES}),
    ),
    Model(id="plain", owned_by="p"),
)


@dataclass(eq=False)
class Reader:
    """A request whose response is read as it comes."""

    app: ASGIApp
    method: str
    path: str
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    json: Any = None
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    writes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._leaves = asyncio.Event()
        self._has_asked = False
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._ask())

    async def reads(self, text: bytes) -> None:
        """Wait until the response contains `text`."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: text in self.body or self.task.done())
        assert text in self.body, self.body

    async def whole(self) -> bytes:
        """Wait for the end of the response and return it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task
        return self.body

    async def leave(self) -> None:
        """Close the connection."""
        self._leaves.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task

    async def _ask(self) -> None:
        headers = [("host", "localhost"), ("content-type", "application/json"), *self.headers]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": self.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        try:
            await self.app(scope, self._receive, self._send)
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def _receive(self) -> dict[str, Any]:
        if self._has_asked:
            await self._leaves.wait()
            return {"type": "http.disconnect"}
        self._has_asked = True
        body = b"" if self.json is None else json.dumps(self.json).encode()
        return {"type": "http.request", "body": body}

    async def _send(self, message: Any) -> None:
        async with self._changed:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.response_headers = {
                    name.decode().lower(): value.decode() for name, value in message["headers"]
                }
            else:
                self.body += message["body"]
                self.writes.append(message["body"])
            self._changed.notify_all()


class BackgroundApplication(ApplicationUnderTest):
    """The application, and requests about ana's answers."""

    def __init__(self, *steps: Step, **options: Any) -> None:
        super().__init__(*steps, **{"catalogue": MODELS, **options})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Start the application with its watch over leases, and yield a client."""
        transport = httpx2.ASGITransport(app=self.app, client=("127.0.0.1", 1))
        async with (
            lifespan(self.app),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            watching = asyncio.create_task(self._watch())
            try:
                yield client
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
        assert self.lifecycle.readers == set()

    def reader(self, method: str, path: str, **options: Any) -> Reader:
        """Send a request and read its response as it comes."""
        return Reader(self.app, method, path, **options)

    def events(self, interaction_id: str, **options: Any) -> Reader:
        """Follow an answer of ana's."""
        return self.reader("GET", f"/v1/history/ana/{interaction_id}/events", **options)

    def log_records(self) -> list[LogRecord]:
        """Return the records of the only log."""
        (log,) = self.answer_log.logs.values()
        return log.records

    async def finished(self) -> None:
        """Wait until no answer is being made."""
        await until(lambda: not self.container.background.answers.running)

    async def _watch(self) -> None:
        while True:
            await self.container.background.answers.watch()
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def ask(client: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    """Send ana's request for a background answer; fields that are None are left out."""
    headers = body.pop("headers", {})
    sent = {"userId": "ana", "userPrompt": "hi", "background": True, **body}
    return await client.post(
        "/v1/chat",
        json={name: value for name, value in sent.items() if value is not None},
        headers=headers,
    )


async def accepted(client: httpx2.AsyncClient, **body: Any) -> str:
    """Begin a background answer of ana's and return its id."""
    response = await ask(client, **body)
    assert response.status_code == 202, response.text
    interaction_id: str = response.json()["id"]
    return interaction_id


def events_in(body: bytes) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Return number, name and data of each event, pings aside; None is the number of one without `id`."""
    events = []
    text = body.replace(b": ping\n", b"").decode()
    for event in text.split("\n\n"):
        if not event:
            continue
        *numbers, name, data = event.split("\n")
        number = int(numbers[0].removeprefix("id: ")) if numbers else None
        name = name.removeprefix("event: ")
        events.append((number, name, json.loads(data.removeprefix("data: "))))
    return events


def names_in(body: bytes) -> list[str]:
    """Return the names of the events, and check that their numbers have no gap from 0 on."""
    events = events_in(body)
    assert [number for number, _, _ in events] == list(range(len(events)))
    return [name for _, name, _ in events]


def unnumbered_names_in(body: bytes) -> list[str]:
    """Return the names of the events, and check that none has a number."""
    events = events_in(body)
    assert {number for number, _, _ in events} == {None}
    return [name for _, name, _ in events]


def text_in(body: bytes) -> str:
    """Return the text that a client has after these events."""
    text = ""
    for _, name, data in events_in(body):
        if name == "restart":
            text = ""
        elif name == "delta":
            text += data["text"]
    return text

"""Streams through both doors: signs of life, clients that leave, and an orderly end from our side."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from app.responses import open_stream as sse
from domain.entities.interaction import Status
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from infra.selftest.provider import FaultProvider
from tests.fakes.application import ApplicationUnderTest, lifespan

WHO = ProviderSelected(provider="p", model="m")
END = Reply(finish_reason=FinishReason.STOP)
PATIENCE_SECONDS = 120.0

DOORS: dict[str, dict[str, Any]] = {
    "/v1/chat": {"userId": "ana", "userPrompt": "hi", "stream": True},
    "/v1/chat/completions": {
        "user": "ana",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    },
}


class Client:
    """Speaks to the application without a server between, so that a test decides when it reads and leaves."""

    def __init__(self, application: ApplicationUnderTest, path: str) -> None:
        self.body = b""
        self.status = 0
        self.leaves = asyncio.Event()
        self._application = application
        self._path = path
        self._has_asked = False
        self._heard = asyncio.Condition()
        self.answered = asyncio.create_task(self._ask())

    async def hears(self, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._heard:
            await self._heard.wait_for(lambda: text in self.body)

    async def _ask(self) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": self._path,
            "raw_path": self._path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._application.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if self._has_asked:
            await self.leaves.wait()
            return {"type": "http.disconnect"}
        self._has_asked = True
        return {"type": "http.request", "body": json.dumps(DOORS[self._path]).encode()}

    async def _send(self, message: Any) -> None:
        async with self._heard:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            else:
                self.body += message["body"]
            self._heard.notify_all()


@asynccontextmanager
async def running(application: ApplicationUnderTest) -> AsyncIterator[None]:
    async with lifespan(application.app), asyncio.timeout(PATIENCE_SECONDS):
        yield
    assert application.lifecycle.streams == set()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.seen("C7")
@pytest.mark.parametrize("path", DOORS)
async def test_silence_after_the_first_word_is_filled_with_signs_of_life(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.01)
    may_go_on = asyncio.Event()
    application = ApplicationUnderTest(WHO, "some", may_go_on, " more", END)
    async with running(application):
        client = Client(application, path)
        await client.hears(b": ping\n: ping\n")
        assert client.body.index(b"some") < client.body.index(b": ping")
        may_go_on.set()
        await client.answered
    assert client.body.rindex(b": ping") < client.body.index(b" more")
    # A blank line ends an event; one after a comment alone would end an event without data.
    assert b": ping\n\n" not in client.body
    events = client.body.decode().removesuffix("\n\n").split("\n\n")
    assert all("data: " in event for event in events)


@pytest.mark.parametrize("path", DOORS)
async def test_who_leaves_hangs_up_on_the_model_and_leaves_what_came(path: str) -> None:
    application = ApplicationUnderTest(WHO, "some", asyncio.Event(), "never", END)
    async with running(application):
        client = Client(application, path)
        await client.hears(b"some")
        client.leaves.set()
        await client.answered
        await until(lambda: application.history.kept)
    (kept,) = application.history.kept.values()
    assert (kept.status, kept.text) == (Status.CLIENT_CANCELLED, "some")
    assert application.llm.hung_up == 1


@pytest.mark.parametrize("path", DOORS)
async def test_who_leaves_before_the_first_word_hangs_up_too(path: str) -> None:
    application = ApplicationUnderTest(WHO, asyncio.Event(), "never", END)
    async with running(application):
        client = Client(application, path)
        await until(lambda: application.llm.asked)
        client.leaves.set()
        await client.answered
        await until(lambda: application.history.kept)
    (kept,) = application.history.kept.values()
    assert (kept.status, kept.text) == (Status.CLIENT_CANCELLED, "")
    assert (client.status, client.body) == (499, b"")
    assert application.llm.hung_up == 1


@pytest.mark.parametrize("path", DOORS)
async def test_a_stream_we_end_ourselves_says_so_and_is_truncated(path: str) -> None:
    application = ApplicationUnderTest(WHO, "some", asyncio.Event(), "never", END)
    async with running(application):
        client = Client(application, path)
        await client.hears(b"some")
        application.lifecycle.end_streams()
        await client.answered
        await until(lambda: application.history.kept)
    (kept,) = application.history.kept.values()
    assert (kept.status, kept.text) == (Status.TRUNCATED, "some")
    last = client.body.decode().removesuffix("\n\n").rpartition("data: ")[2]
    told = json.loads(last)
    assert told.get("type") == "/problems/overloaded" or told["error"]["code"] == "overloaded"
    assert b"[DONE]" not in client.body
    assert b"event: done" not in client.body


@pytest.mark.realtime
@pytest.mark.parametrize("path", DOORS)
def test_the_providers_connection_ends_within_a_second_of_the_clients(
    client: httpx2.Client, user: str, provider: FaultProvider, path: str
) -> None:
    whose = {"userId": user} if path == "/v1/chat" else {"user": user}
    body = {**DOORS[path], **whose, "model": "alt-stall"}
    with client.stream("POST", path, json=body) as response:
        for line in response.iter_lines():
            if "All " in line:
                break
    left_seconds = time.monotonic()
    call = provider.calls[-1]
    while call.ended_seconds is None and time.monotonic() < left_seconds + PATIENCE_SECONDS:
        time.sleep(0.005)
    assert call.ended_seconds is not None
    assert call.ended_seconds - left_seconds < 1.0

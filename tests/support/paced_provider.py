"""A provider that says a known text slowly, and goes on with what it is given of it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

CONTINUED = "goes-on"
"""Model that continues a partial answer."""
RESTARTED = "starts-over"
"""Model that does not."""


@dataclass
class PacedCall:
    """One request.

    Attributes:
        question: The last user message.
        given: The partial answer that the request contains.
        ended_seconds: Monotonic time of the end; None before it.
        is_whole: Whether everything was sent.
    """

    question: str
    given: str
    started_seconds: float
    ended_seconds: float | None = None
    is_whole: bool = False


@dataclass
class PacedProvider:
    """Serves OpenAI's streaming format.

    Attributes:
        words: Number of words of each answer.
        gap_seconds: Time between two words.
        calls: All requests, in order.
    """

    words: int = 30
    gap_seconds: float = 0.05
    calls: list[PacedCall] = field(default_factory=list)
    url: str = ""

    @property
    def text(self) -> str:
        """The whole text of an answer."""
        return "".join(f"word{number} " for number in range(self.words))

    def calls_of(self, question: str) -> list[PacedCall]:
        """Return the requests with this question."""
        return [call for call in self.calls if call.question == question]

    def settings(self, folder: Path) -> dict[str, str]:
        """Write a catalogue with both models and return the settings for it, with short leases."""
        lines = [
            f'default = "{CONTINUED}"',
            f'[providers.paced]\nkind = "openai"\nbase_url = "{self.url}/v1"',
        ]
        for model in (CONTINUED, RESTARTED):
            is_continued = "true" if model == CONTINUED else "false"
            lines.append(
                f'[models.{model}]\nprovider = "paced"\nupstream = "{model}"\n'
                f"context_tokens = 100000\nmax_output_tokens = 10000\ncontinues = {is_continued}"
            )
        path = folder / "models.toml"
        path.write_text("\n\n".join(lines), encoding="utf-8")
        return {
            "MODELS_FILE": str(path),
            "PRICE_LOOKUP_ENABLED": "false",
            "ANSWER_LEASE_SECONDS": "2",
            "ANSWER_LEASE_RENEWAL_SECONDS": "0.5",
            "MAX_ANSWER_TAKEOVERS": "1000",
        }

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        messages: list[dict[str, Any]] = orjson.loads(await request.read())["messages"]
        given = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        asked = [message["content"] for message in messages if message["role"] == "user"]
        call = PacedCall(asked[-1], given, time.monotonic())
        self.calls.append(call)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            assert self.text.startswith(given), given
            for word in self.text[len(given) :].split(" ")[:-1]:
                await response.write(_chunk({"content": f"{word} "}))
                await asyncio.sleep(self.gap_seconds)
            await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
            await response.write_eof()
            call.is_whole = True
        finally:
            call.ended_seconds = time.monotonic()
        return response


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


@asynccontextmanager
async def _serving(provider: PacedProvider) -> AsyncIterator[None]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", provider._answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        provider.url = f"http://{host}:{port}"
        yield
    finally:
        await runner.cleanup()


@contextmanager
def paced_provider(**options: Any) -> Iterator[PacedProvider]:
    """Serve on loopback from a thread of its own, until the block ends."""
    provider = PacedProvider(**options)
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with _serving(provider):
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert is_up.wait(120), "the provider did not start"
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()

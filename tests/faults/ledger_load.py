"""Clients that ask and write down what they were answered."""

import asyncio
import itertools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from tests.faults.ledger import Entry, Ledger

USERS = tuple(f"client-{number}" for number in range(10))
STREAMED_OF = 5
"""One request of so many is streamed."""

_LONGEST_SECONDS = 90.0


def a_session() -> aiohttp.ClientSession:
    """Return a session without a limit of its own to connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=_LONGEST_SECONDS),
    )


async def ask(session: aiohttp.ClientSession, url: str, number: int) -> Entry:
    """Send the request with this number and return what became of it; never raises for what the service does."""
    user_id, prompt = USERS[number % len(USERS)], f"question {number}"
    is_stream = number % STREAMED_OF == 0
    body = {"userId": user_id, "userPrompt": prompt, "stream": is_stream}
    sent_seconds = time.monotonic()
    found: dict[str, Any] = {"status": 0}
    try:
        async with session.post(f"{url}/v1/chat", json=body) as response:
            content = await response.read()
            found = _told(response, content)
    except (aiohttp.ClientError, TimeoutError):
        pass
    return Entry(
        user_id=user_id,
        prompt=prompt,
        sent_seconds=sent_seconds,
        seconds=time.monotonic() - sent_seconds,
        **found,
    )


class Load:
    """Asks at a constant rate, whether or not what was asked before has been answered.

    Attributes:
        url: Where the next request goes; may be changed at any time.
    """

    def __init__(self, url: str, ledger: Ledger, *, per_second: float, first: int = 0) -> None:
        """Ask for `first` and the numbers after it; they must be no other load's."""
        self.url = url
        self._first = first
        self._ledger = ledger
        self._per_second = per_second
        self._under_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = a_session()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Ask no more, and wait for what is under way."""
        self._task.cancel()
        await asyncio.wait([self._task, *self._under_way])
        await self._session.close()

    async def _run(self) -> None:
        started = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(started + number / self._per_second - time.monotonic())
            task = asyncio.create_task(self._ask(self._first + number))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self, number: int) -> None:
        self._ledger.write(await ask(self._session, self.url, number))


async def keep_asking(
    url: str, ledger: Ledger, *, clients: int, is_over: Callable[[], bool]
) -> None:
    """Let so many clients ask, each again as soon as it is answered and on its one connection, until it is over."""
    numbers = itertools.count()

    async def client() -> None:
        async with a_session() as session:
            while not is_over():
                entry = await ask(session, url, next(numbers))
                ledger.write(entry)
                if not entry.is_acknowledged:
                    return

    await asyncio.gather(*(client() for _ in range(clients)))


def _told(response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
    told = {
        "status": response.status,
        "interaction_id": response.headers.get("X-Interaction-Id", ""),
    }
    if response.content_type == "text/event-stream":
        return told | _streamed(content)
    document = orjson.loads(content)
    if response.status == 200:
        text = document["response"].encode()
        return told | {"interaction_id": document["id"], "text_bytes": len(text), "is_done": True}
    return told | {"problem": document["type"].removeprefix("/problems/")}


def _streamed(content: bytes) -> dict[str, Any]:
    text_bytes, is_done, problem = 0, False, ""
    for event in content.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.splitlines() if line[:1] != ":")
        data = orjson.loads(lines.get("data", "{}"))
        if lines.get("event") == "delta":
            text_bytes += len(data["text"].encode())
        elif lines.get("event") == "done":
            is_done = True
        elif lines.get("event") == "error":
            problem = data["type"].removeprefix("/problems/")
    return {"text_bytes": text_bytes, "is_done": is_done, "problem": problem}

"""Questions at a constant rate, whether or not those before have been answered; and what came of each."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from tests.support.service import Service

Answer = TypeVar("Answer")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_PATIENCE_SECONDS = 90.0
_LENGTH = re.compile(rb"content-length: (\d+)")
_TICKS_PER_SECOND = 100  # of Linux's USER_HZ, as programs see it


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutcome:
    """One answer.

    Attributes:
        seconds: From the moment it was due to be asked.
    """

    status: int
    seconds: float
    body: dict[str, Any]


async def at_rate(
    per_second: float, seconds: float, ask: Callable[[int], Awaitable[Answer]]
) -> list[Answer]:
    """Start an `ask` every so often; return all answers, in the order of asking."""
    started = time.monotonic()
    tasks = []
    for number in range(round(per_second * seconds)):
        await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
        tasks.append(asyncio.ensure_future(ask(number)))
    return list(await asyncio.gather(*tasks))


def asked_at_rate(
    service: Service, model: str, user: str, *, per_second: float, seconds: float
) -> list[RequestOutcome]:
    """Ask plain questions at a rate, all of one user; return the answers in the order of asking."""

    async def ask_all() -> list[RequestOutcome]:
        async with _asking(service, model, user) as ask:
            return await at_rate(per_second, seconds, ask)

    return asyncio.run(ask_all())


def asked_at_once(service: Service, model: str, user: str, count: int) -> list[RequestOutcome]:
    """Ask plain questions at the same moment, all of one user."""

    async def ask_all() -> list[RequestOutcome]:
        async with _asking(service, model, user) as ask:
            return list(await asyncio.gather(*(ask(number) for number in range(count))))

    return asyncio.run(ask_all())


@asynccontextmanager
async def _asking(
    service: Service, model: str, user: str
) -> AsyncIterator[Callable[[int], Awaitable[RequestOutcome]]]:
    """Hand out a way to ask; raw connections, because a client's library costs more than the service."""
    idle: list[Connection] = []
    everyone: list[Connection] = []

    async def ask(number: int) -> RequestOutcome:
        started = time.monotonic()
        if idle:
            reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            everyone.append((reader, writer))
        body = {"userId": user, "userPrompt": f"{user} asks {number}", "model": model}
        writer.write(_request(orjson.dumps(body)))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            document = await reader.readexactly(int(_LENGTH.findall(head)[0]))
        idle.append((reader, writer))
        return RequestOutcome(
            status=int(head[9:12]),
            seconds=time.monotonic() - started,
            body=orjson.loads(document),
        )

    try:
        yield ask
    finally:
        for _, writer in everyone:
            writer.close()


def _request(body: bytes) -> bytes:
    return (
        b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def cpu_seconds(service: Service) -> float:
    """The CPU time the process has used."""
    after_name = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_SECOND

"""Questions at a constant rate, whether or not those before have been answered; and what came of each."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.service import Service

Answer = TypeVar("Answer")
_PATIENCE_SECONDS = 90.0
_TICKS_PER_SECOND = 100  # of Linux's USER_HZ, as programs see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
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
) -> list[Answered]:
    """Ask plain questions at a rate, all of one user; return the answers in the order of asking."""

    async def ask_all() -> list[Answered]:
        async with _asking(service, model, user) as ask:
            return await at_rate(per_second, seconds, ask)

    return asyncio.run(ask_all())


def asked_at_once(service: Service, model: str, user: str, count: int) -> list[Answered]:
    """Ask plain questions at the same moment, all of one user."""

    async def ask_all() -> list[Answered]:
        async with _asking(service, model, user) as ask:
            return list(await asyncio.gather(*(ask(number) for number in range(count))))

    return asyncio.run(ask_all())


@asynccontextmanager
async def _asking(
    service: Service, model: str, user: str
) -> AsyncIterator[Callable[[int], Awaitable[Answered]]]:
    async with aiohttp.ClientSession(
        service.url,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS),
    ) as session:

        async def ask(number: int) -> Answered:
            started = time.monotonic()
            body = {"userId": user, "userPrompt": f"{user} asks {number}", "model": model}
            async with session.post("/v1/chat", json=body) as response:
                document = await response.json(content_type=None)
            return Answered(
                status=response.status, seconds=time.monotonic() - started, body=document
            )

        yield ask


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def cpu_seconds(service: Service) -> float:
    """The CPU time the process has used."""
    after_name = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_SECOND

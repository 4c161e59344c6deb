"""The measurements, one function each."""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from bench.harness.load import Outcome, Requests, closed_loop, get, open_loop, post, quantile
from bench.harness.processes import Service, Watched

CHAT = "/v1/chat"
COMPLETIONS = "/v1/chat/completions"
RESPONSES = "/v1/responses"
_QUESTION = "Explain event loops in one sentence."
DIRECT = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A process, and the request or requests that it answers."""

    name: str
    process: Watched
    requests: Requests


@dataclass(slots=True)
class Costs:
    """Measurements of one target, a value for each round."""

    cpu_milliseconds: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def cpu(self) -> float:
        """CPU milliseconds a request; the median of the rounds."""
        return statistics.median(self.cpu_milliseconds)

    @property
    def per_core_second(self) -> float:
        """Requests a second that one core has time for."""
        return 1000 / self.cpu


@dataclass(frozen=True, slots=True)
class Added:
    """Seconds through the service and without it, at the same rate, alternately.

    Attributes:
        sync_milliseconds: Time in which the disk syncs a page at the same rate, measured between the rounds.
    """

    direct: list[float]
    through: list[float]
    sync_milliseconds: list[float]

    def at(self, share: float) -> float:
        """Return the added time in milliseconds."""
        return (quantile(self.through, share) - quantile(self.direct, share)) * 1000


def chat(service: Service, *, manner: str = "", stream: bool = False) -> bytes:
    """Return a chat that the mock provider answers in that `manner`."""
    document = {
        "userId": "ana",
        "userPrompt": f"{_QUESTION} {manner}",
        "stream": stream,
    }
    return post(CHAT, orjson.dumps(document), key=service.key)


TEXT_CHATS: Mapping[str, Callable[[Service], bytes]] = {
    "chat": chat,
    "stream of 30": lambda service: chat(service, manner="mock(chunks=30)", stream=True),
}
"""The requests by which versions are compared."""


def completion(service: Service) -> bytes:
    """Return the same chat in the Chat Completions format."""
    messages = [{"role": "user", "content": _QUESTION}]
    document = {"messages": messages, "user": "ana"}
    return post(COMPLETIONS, orjson.dumps(document), key=service.key)


def response(service: Service) -> bytes:
    """Return the same chat in the Responses format."""
    document = {"input": _QUESTION, "user": "ana"}
    return post(RESPONSES, orjson.dumps(document), key=service.key)


def direct(*, manner: str = "") -> bytes:
    """Return the same request in the provider's format."""
    text = f"{_QUESTION} {manner}"
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return post(DIRECT, orjson.dumps(body))


async def costs(
    targets: list[Target], *, rounds: int, seconds: float, connections: int, progress: Progress
) -> Mapping[str, Costs]:
    """Return the cost of each target, measured alternately so that noise of the machine affects all of them.

    The first round warms up and does not count.
    """
    found = {target.name: Costs() for target in targets}
    for number in range(rounds + 1):
        for target in targets:
            before = target.process.cpu_seconds()
            outcome = await closed_loop(
                target.process.port, target.requests, connections=connections, seconds=seconds
            )
            progress(1)
            cost = found[target.name]
            cost.errors += outcome.errors
            if number:
                cpu_seconds = target.process.cpu_seconds() - before
                cost.cpu_milliseconds.append(cpu_seconds / max(1, outcome.answered) * 1000)
                cost.per_second.append(outcome.answered / outcome.seconds)
    return found


async def added(
    service: Service,
    upstream: Watched,
    *,
    stream: bool,
    rounds: int,
    seconds: float,
    progress: Progress,
    per_second: float,
    latency_seconds: float,
) -> Added:
    """Return the time the service adds to an answer (to the first text of a stream) at a constant rate.

    The provider takes `latency_seconds`.
    """
    manner = f"mock(latency={latency_seconds})"
    found = Added([], [], [])
    for _ in range(rounds):
        found.sync_milliseconds.append(
            disk_sync_milliseconds(service.folder, per_second=per_second)
        )
        for port, request, values in (
            (upstream.port, direct(manner=manner), found.direct),
            (
                service.process.port,
                chat(service, manner=manner, stream=stream),
                found.through,
            ),
        ):
            outcome = await open_loop(port, request, per_second=per_second, seconds=seconds)
            progress(1)
            values.extend(outcome.first_tokens_seconds if stream else outcome.latencies_seconds)
    return found


async def in_flight(
    service: Service, *, calls: int, seconds: float, progress: Progress
) -> tuple[Outcome, Outcome]:
    """Return the outcome of `calls` concurrent chats, for each of which the provider takes two seconds.

    The second outcome is that of `/health/live`, asked meanwhile: how long the event loop lets others wait.
    """
    request, port = chat(service, manner="mock(latency=2)"), service.process.port
    return await asyncio.gather(
        closed_loop(
            port, request, connections=calls, seconds=seconds, ramp_seconds=2.0, progress=progress
        ),
        open_loop(port, get("/health/live"), per_second=20.0, seconds=seconds),
    )


@dataclass(frozen=True, slots=True)
class Overload:
    """A service under three times its maximum load.

    Attributes:
        peak: Answers per second at exactly its maximum load.
        good: Answers a second under the overload.
        refused_p99: Milliseconds to a refusal.
        recovered: Share of a modest load that is answered right after it.
        slowest_live: The most milliseconds that `/health/live` took meanwhile: how long the event loop let others wait.
    """

    peak: float
    good: float
    refused_p99: float
    recovered: float
    slowest_live: float


async def overload(service: Service, *, chats: int, seconds: float) -> Overload:
    """Measure the service under three times `chats` concurrent requests."""
    request, port = chat(service, manner="mock(latency=0.2)"), service.process.port
    peak = await closed_loop(port, request, connections=chats, seconds=5)
    under, live = await asyncio.gather(
        open_loop(port, request, per_second=3 * chats / 0.2, seconds=seconds),
        open_loop(port, get("/health/live"), per_second=20.0, seconds=seconds),
    )
    after = await open_loop(port, request, per_second=chats / 0.4, seconds=5)
    return Overload(
        peak=peak.answered / peak.seconds,
        good=under.answered / under.seconds,
        refused_p99=quantile(under.refused_seconds, 0.99) * 1000,
        recovered=after.answered / sum(after.statuses.values()),
        slowest_live=max(live.latencies_seconds) * 1000,
    )


def disk_sync_milliseconds(folder: Path, *, per_second: float, times: int = 60) -> float:
    """Return how long the disk takes to sync a page appended to a file; the median.

    With pauses, as it is asked by requests at that rate: a disk that is asked without any is quicker.
    """
    taken = []
    with open(folder / "sync.probe", "wb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        for _ in range(times):
            time.sleep(1 / per_second)
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000

"""Clients that hardly read: each holds a bounded piece of memory for a bounded time, and nobody else waits for them."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from infra.selftest.exchange import Exchange
from tests.faults.aborting_clients import request
from tests.faults.fault_scenario import FaultScenario, running_scenario, until
from tests.faults.inside import Memory
from tests.faults.load import percentile
from tests.faults.pace import SHIPPED
from tests.faults.routes import WIRES, upstream

# The time until a connection is closed has an upper bound.
pytestmark = pytest.mark.realtime

ANSWER_BYTES = 1_000_000
PIECE = "a" * 1_000
ARRIVING_EVERY_SECONDS = 0.02
LATE_SECONDS = 5.0
"""By how much a busy machine may be late."""
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Clients of one kind.

    Attributes:
        most_growth_bytes: What they may cost together, with what the service takes anyway when it gets busy.
    """

    clients: int
    stall_seconds: float
    most_growth_bytes: int


CROWDS = {
    "hasty": Crowd(clients=30, stall_seconds=1.5, most_growth_bytes=40 * 1024 * 1024),
    "shipped": Crowd(clients=200, stall_seconds=30.0, most_growth_bytes=64 * 1024 * 1024),
}


@pytest.fixture(params=["hasty", pytest.param("shipped", marks=pytest.mark.faults)])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    return CROWDS[request.param]


@pytest.fixture
def scenario(crowd: Crowd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    settings = {"WRITE_STALL_SECONDS": str(crowd.stall_seconds)}
    with running_scenario(
        tmp_path_factory.mktemp("slow"), ["flood"], SHIPPED, settings
    ) as scenario:
        for wire in WIRES:
            scenario.provider.override[upstream(f"{wire}-flood", "flood")] = flood
        yield scenario


async def flood(exchange: Exchange) -> None:
    """A megabyte, as fast as it is taken."""
    await exchange.begin()
    for _ in range(ANSWER_BYTES // len(PIECE)):
        await exchange.text(PIECE)
    await exchange.finish()


def test_who_hardly_reads_is_cut_off_and_costs_others_nothing(
    scenario: FaultScenario, crowd: Crowd, figure: Callable[[str], None]
) -> None:
    memory = Memory(scenario.service)
    alone = [scenario.ask("alt-healthy").seconds for _ in range(200)]  # warm by then
    before = memory.now_bytes()
    held, beside = asyncio.run(crawl(scenario, crowd))
    growth = memory.peak_bytes() - before
    figure(
        f"{crowd.clients} clients that read a byte a second, write stall {crowd.stall_seconds} s: cut off after"
        f" {min(held):.1f} to {max(held):.1f} s, memory grew by {growth / 1e6:.1f} MB at the most;"
        f" others' p99 {percentile(beside, 0.99) * 1000:.0f} ms,"
        f" alone {percentile(alone, 0.99) * 1000:.0f} ms"
    )
    assert growth <= crowd.most_growth_bytes
    assert min(held) >= crowd.stall_seconds
    assert max(held) <= crowd.stall_seconds + LATE_SECONDS
    until(lambda: scenario.provider.under_way() == 0, LATE_SECONDS)
    until(lambda: len(scenario.kept_of("crawler")) == crowd.clients, LATE_SECONDS)
    kept = scenario.kept_of("crawler")
    assert Counter(one["status"] for one in kept) == {"client_cancelled": crowd.clients}
    assert all(0 < len(one["response"]) < ANSWER_BYTES for one in kept)


async def crawl(scenario: FaultScenario, crowd: Crowd) -> tuple[list[float], list[float]]:
    """Read a byte a second until the service hangs up; return how long that took, and how long others waited."""
    crawling = [
        asyncio.ensure_future(crawl_once(scenario, crowd, number))
        for number in range(crowd.clients)
    ]
    beside = []
    while not all(one.done() for one in crawling):
        result = await asyncio.to_thread(scenario.ask, "alt-healthy")
        assert result.is_done
        beside.append(result.seconds)
        await asyncio.sleep(0.05)
    return [one.result() for one in crawling], beside


async def crawl_once(scenario: FaultScenario, crowd: Crowd, number: int) -> float:
    body = {
        "userId": "crawler",
        "userPrompt": "?",
        "model": f"{WIRES[number % 2]}-flood",
        "stream": True,
    }
    await asyncio.sleep(number * ARRIVING_EVERY_SECONDS)
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", scenario.service.port))
        await loop.sock_sendall(raw, request("/v1/chat", body))
        started = time.monotonic()
        while not raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            assert time.monotonic() - started < crowd.stall_seconds + _PATIENCE_SECONDS
            await loop.sock_recv(raw, 1)
            await asyncio.sleep(1.0)
        return time.monotonic() - started

"""Measures several serving processes with MongoDB, and the cost of shared limits."""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from bench.harness import measures, processes
from bench.harness.load import closed_loop, quantile
from bench.harness.report import Row
from infra.limits.counters import NANOSECONDS, RequestRate, TokenChange
from infra.limits.mongo import MongoCounters, open_mongo_counters
from tests.support.mongod import Mongod

COUNTS = (1, 2, 4)

_CONNECTIONS = 64
_CALLS = 500
_START_SECONDS = 60.0
_KIBIBYTE = 1024
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Variant:
    """A number of processes, and whether they share their limits."""

    count: int
    shares_limits: bool = True

    def __str__(self) -> str:
        name = f"{self.count} process{'es' if self.count > 1 else ''}"
        return name if self.shares_limits else f"{name}, limits not shared"


async def rows(upstream: processes.Watched, *, rounds: int, seconds: float) -> list[Row]:
    """Return throughput, CPU and memory of 1, 2 and 4 processes, measured alternately, and the cost of a shared limit."""
    with ExitStack() as stack:
        mongod = stack.enter_context(_mongod())
        variants = [_Variant(1, shares_limits=False), *map(_Variant, COUNTS)]
        found: dict[_Variant, tuple[list[float], list[float]]] = {v: ([], []) for v in variants}
        memory: dict[_Variant, float] = {}
        for number in tqdm(range(rounds), desc="processes", file=sys.stderr):
            for variant in variants:
                with _service(upstream, mongod.uri, variant, number) as service:
                    per_second, cpu = found[variant]
                    pids = _serving(service.process.pid)
                    request = measures.chat(service)
                    port = service.process.port
                    await closed_loop(port, request, connections=_CONNECTIONS, seconds=1)
                    before = sum(map(processes.cpu_seconds, pids))
                    outcome = await closed_loop(
                        port, request, connections=_CONNECTIONS, seconds=seconds
                    )
                    used = sum(map(processes.cpu_seconds, pids)) - before
                    if outcome.errors:
                        raise RuntimeError(f"{variant}: {outcome.statuses}")
                    per_second.append(outcome.answered / outcome.seconds)
                    cpu.append(used / outcome.answered * 1000)
                    memory[variant] = statistics.mean(map(_memory_bytes, pids)) / _MIB
        found_rows = []
        for variant, (per_second, cpu) in found.items():
            found_rows += [
                Row(f"{variant}: answers/s", f"{statistics.median(per_second):,.0f}"),
                Row(f"{variant}: CPU ms a chat", f"{statistics.median(cpu):.3f}"),
                Row(f"{variant}: memory of each", f"{memory[variant]:.0f} MiB"),
            ]
        async with open_mongo_counters(
            mongod.uri, database="counters", call_seconds=30.0
        ) as counters:
            return [*found_rows, *await _calls(counters)]


async def _calls(counters: MongoCounters) -> list[Row]:
    """Return the cost of the calls of the store; most requests need none."""
    rate = RequestRate(600)
    change = TokenChange(budget=10**9, least=1, wanted=1000, returned=900, spent=100)
    found = []

    async def take(number: int) -> object:
        now = time.time_ns() // NANOSECONDS * NANOSECONDS
        return await counters.take_requests(f"caller {number}", rate, wanted=37, now=now)

    async def reserve(_number: int) -> object:
        return await counters.change_tokens("ana", 1, change)

    for name, call in (("block of requests", take), ("reservation of tokens", reserve)):
        await call(0)
        taken = []
        cpu_before = time.process_time()
        for number in range(_CALLS):
            started = time.perf_counter()
            await call(number)
            taken.append(time.perf_counter() - started)
        cpu = (time.process_time() - cpu_before) / _CALLS
        found += [
            Row(f"a {name} from MongoDB: CPU ms", f"{cpu * 1000:.2f}"),
            Row(f"a {name} from MongoDB: p50 ms", f"{quantile(taken, 0.5) * 1000:.2f}"),
            Row(f"a {name} from MongoDB: p99 ms", f"{quantile(taken, 0.99) * 1000:.2f}"),
        ]
    return found


@contextmanager
def _mongod() -> Iterator[Mongod]:
    folder = Path(tempfile.mkdtemp(prefix="bench-mongod-"))
    server = Mongod(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _service(
    upstream: processes.Watched, mongo_uri: str, variant: _Variant, number: int
) -> Iterator[processes.Service]:
    with processes.service(
        upstream,
        MONGO_URI=mongo_uri,
        MONGO_DB=f"bench_{variant.count}_{number}",
        WORKERS=str(variant.count),
        LIMITS_SHARED=str(variant.shares_limits).lower(),
        CALLER_DAILY_TOKENS=str(10**12),
    ) as service:
        if variant.count > 1:
            _wait_until_all_serve(service, variant.count)
        yield service


def _wait_until_all_serve(service: processes.Service, count: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while (service.folder / "log.jsonl").read_text().count(f" of {count} serves") < count:
        if time.monotonic() > until:
            raise RuntimeError("not all processes serve")
        time.sleep(0.02)


def _serving(pid: int) -> list[int]:
    """Return the processes that serve: the supervisor's children, or the only one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] or [pid]


def _memory_bytes(pid: int) -> int:
    """Return the proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _KIBIBYTE
    raise RuntimeError("the system does not report the proportional memory")

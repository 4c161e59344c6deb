"""Runs many chats, some faulty, streamed or abandoned, and measures the resources still held afterwards.

    make soak

Of the chats 10 % are streamed, for 5 % the provider fails, and 2 % of the callers disconnect before the answer. Exits with 1
when more is left than was promised; writes `bench/SOAK.md` at its full length only.
"""

import argparse
import asyncio
import os
import random
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.harness import measures, processes
from bench.harness.load import Caller, Outcome
from bench.harness.report import Row, as_table, machine

RESULTS = Path(__file__).parent / "SOAK.md"
_CHATS = 200_000
_CONNECTIONS = 64
_SETTLED_AFTER = 20_000
_SAMPLE_EVERY = 2_000
_WARM_UP = 1_000
_IDLE_SECONDS = 125.0
"""Longer than the time after which idle connections to a provider are closed."""
_FAULTS = ("flaky-503", "flaky-reset", "flaky-cut", "503", "400", "429")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """Resources held by the idle service."""

    files: int
    threads: int
    tasks: int


def chats(service: processes.Service, seed: int) -> Iterator[tuple[bytes, float | None]]:
    """Yield requests, each with the seconds after which its caller disconnects, or None."""
    plain = measures.chat(service)
    streamed = measures.chat(service, stream=True)
    slow = [
        measures.chat(service, manner="mock(latency=0.2)", stream=is_stream)
        for is_stream in (True, False)
    ]
    faulty = [
        measures.chat(service, manner=f"mock(fault={fault})", stream=one)
        for fault in _FAULTS
        for one in (True, False, False)
    ]
    dice = random.Random(seed)  # noqa: S311 - a seed makes it the same run again
    while True:
        share = dice.random()
        if share < 0.05:
            yield dice.choice(faulty), None
        elif share < 0.07:
            yield dice.choice(slow), dice.uniform(0.0, 0.3)
        elif share < 0.165:
            yield streamed, None
        else:
            yield plain, None


class Soak:
    """Keeps one chat in flight on each of some connections, and makes a new one when a caller has disconnected."""

    def __init__(self, service: processes.Service, total: int, bar: "tqdm[Any]") -> None:
        self.outcome = Outcome()
        self.resident: list[tuple[int, float]] = []
        self._service = service
        self._chats = chats(service, seed=7)
        self._left = total
        self._under_way = 0
        self._over = asyncio.Event()
        self._bar = bar
        self._tasks: set[asyncio.Task[None]] = set()

    async def left_over(self) -> Held:
        """Return the resources held some time after all chats have ended."""
        self._sample()
        for _ in range(_CONNECTIONS):
            await self._on_new_connection()
        await self._over.wait()
        await asyncio.sleep(_IDLE_SECONDS)
        self._sample()
        process = self._service.process
        return Held(process.open_files(), process.threads(), _tasks_of(process.port))

    def _sample(self) -> None:
        resident_mib = self._service.process.resident_bytes() / _MIB
        self.resident.append((sum(self.outcome.statuses.values()), resident_mib))

    async def _on_new_connection(self) -> None:
        _, caller = await asyncio.get_running_loop().create_connection(
            lambda: Caller(self.outcome, self._again), "127.0.0.1", self._service.process.port
        )
        self._under_way += 1
        self._ask(caller)

    def _again(self, caller: Caller) -> None:
        self._under_way -= 1
        self._bar.update()
        if self._left <= 0:
            caller.close()
            if not self._under_way:
                self._over.set()
        elif caller.is_open:
            self._under_way += 1
            self._ask(caller)
        else:
            task = asyncio.get_running_loop().create_task(self._on_new_connection())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _ask(self, caller: Caller) -> None:
        self._left -= 1
        if self._left % _SAMPLE_EVERY == 0:
            self._sample()
        request, leave_after_seconds = next(self._chats)
        caller.ask(request, time.perf_counter(), leave_after_seconds)


def _tasks_of(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(r"^rt_asyncio_tasks (\S+)", text, re.MULTILINE)
    return int(float(found[1])) if found else -1


async def run(total: int) -> bool:
    """Run the chats and report; return whether all targets were met."""
    load = os.getloadavg()[0]
    with (
        processes.provider() as upstream,
        processes.service(upstream) as service,
        tqdm(total=_WARM_UP + total, desc="soak", unit=" chats", file=sys.stderr) as bar,
    ):
        # Resources opened once, such as the threads that check the disk, exist after some chats.
        start = await Soak(service, _WARM_UP, bar).left_over()
        soak = Soak(service, total, bar)
        end = await soak.left_over()
    (_, first_mib), (count, last_mib) = soak.resident[0], soak.resident[-1]
    settled_mib = next((mib for at, mib in soak.resident if at >= _SETTLED_AFTER), first_mib)
    growth = last_mib / settled_mib - 1
    statuses = ", ".join(
        f"{number:,} of {status}" for status, number in sorted(soak.outcome.statuses.items())
    )
    rows = [
        Row("chats", f"{count:,}"),
        Row("outcomes by status (0: client disconnected)", statuses),
        Row("RSS at start, MiB", f"{first_mib:.0f}"),
        Row(f"RSS after {_SETTLED_AFTER:,}, MiB", f"{settled_mib:.0f}"),
        Row("RSS at the end, MiB", f"{last_mib:.0f}", f"{growth:+.1%}, at most +10 %"),
        Row("open files, start and end", f"{start.files}, {end.files}", "± 2"),
        Row("threads, start and end", f"{start.threads}, {end.threads}", "± 2"),
        Row("tasks, start and end", f"{start.tasks}, {end.tasks}", "± 2"),
    ]
    print(as_table(rows))
    if total >= _CHATS:
        _write(rows, soak.resident, load)
    changes = (end.files - start.files, end.threads - start.threads, end.tasks - start.tasks)
    return growth <= 0.10 and all(abs(change) <= 2 for change in changes)


def _write(rows: list[Row], resident: list[tuple[int, float]], load: float) -> None:
    from bench.harness import plots  # matplotlib takes seconds to import

    plot = plots.draw_soak(resident)
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    RESULTS.write_text(
        f"""# Resources held after many chats

Generated by `make soak`. {moment}, on {machine()}, load average {load:.1f} at the start.

{as_table(rows)}

![soak]({plot.parent.name}/{plot.name})
"""
    )


def main() -> int:
    """Read the command line and run."""
    import uvloop

    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--chats", type=int, default=_CHATS, help="how many (200000)")
    return 0 if uvloop.run(run(parser.parse_args().chats)) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Counts the byte code instructions of a chat and of a stream of thirty events, in the event loop's thread.

    python -m bench.instructions
    python -m bench.instructions --against /path/to/another/checkout --functions 40

Counts do not depend on the speed of the machine or on other work, so two versions can be compared where times cannot.
They leave out what runs in C, such as JSON, SQLite and system calls, and the thread that writes history. Periodic work is
taken off, as counted in as many seconds without requests: a traced service is slow, so it would count for more than it does
under load.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.harness import measures
from bench.harness.load import closed_loop
from bench.harness.processes import Service, Watched, provider, service

_PROGRAM = Path(__file__).parent / "servers" / "counting.py"
_HERE = Path(__file__).parents[1]
_CONNECTIONS = 2
_WARM_UP_SECONDS = 3.0
_COUNTED_SECONDS = 8.0
_LIBRARIES = ("aiohttp", "asyncio", "logging", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions and calls of one function, per answer."""

    file: str
    function: str
    instructions: float
    calls: float

    @property
    def part(self) -> str:
        """The part of the program that the function belongs to."""
        for library in _LIBRARIES:
            if f"/{library}/" in self.file:
                return library
        is_other = "/site-packages/" in self.file or "/lib/python" in self.file
        return "other libraries" if is_other or self.file.startswith("<frozen") else "the service"


async def _counted(
    root: Path, request: Callable[[Service], bytes], upstream: Watched, file: Path
) -> list[Count]:
    with service(upstream, root, (str(_PROGRAM), str(file))) as running:
        process = running.process
        await _ask(running, request, _WARM_UP_SECONDS)
        os.kill(process.pid, signal.SIGUSR2)
        started_seconds = time.monotonic()
        answers = await _ask(running, request, _COUNTED_SECONDS)
        os.kill(process.pid, signal.SIGUSR2)
        seconds = time.monotonic() - started_seconds
        busy = await _written(file)
        os.kill(process.pid, signal.SIGUSR2)
        await asyncio.sleep(seconds)
        os.kill(process.pid, signal.SIGUSR2)
        idle = await _written(file)
    for function, (instructions, calls) in idle.items():
        if function in busy:
            busy[function] = (busy[function][0] - instructions, busy[function][1] - calls)
    counts = [
        Count(name, function, instructions / answers, calls / answers)
        for (name, function), (instructions, calls) in busy.items()
        if instructions > 0
    ]
    return sorted(counts, key=lambda count: count.instructions, reverse=True)


async def _written(file: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Return instructions and calls by file and name of a function, once the service has written them."""
    while not _exists(file):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.05)
    return _read(file)


def _exists(file: Path) -> bool:
    return file.exists()


def _read(file: Path) -> dict[tuple[str, str], tuple[int, int]]:
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for name, function, instructions, calls in json.loads(file.read_bytes()):
        before = counts.get((name, function), (0, 0))
        counts[name, function] = (before[0] + instructions, before[1] + calls)
    file.unlink()
    return counts


async def _ask(running: Service, request: Callable[[Service], bytes], seconds: float) -> int:
    """Return the number of answers."""
    outcome = await closed_loop(
        running.process.port, request(running), connections=_CONNECTIONS, seconds=seconds
    )
    if outcome.statuses.keys() != {200}:
        raise RuntimeError(f"not all were answered: {outcome.statuses}")
    return outcome.statuses[200]


def _print(name: str, counts: list[Count], root: Path, functions: int) -> float:
    total = sum(count.instructions for count in counts)
    print(f"{name}, {root}: {total:,.0f} instructions")
    parts: Counter[str] = Counter()
    for count in counts:
        parts[count.part] += round(count.instructions)
    for part, instructions in parts.most_common():
        print(f"    {instructions:8,} {part}")
    for count in counts[:functions]:
        file = count.file.removeprefix(f"{root}/").split("/site-packages/")[-1]
        print(f"    {count.instructions:8,.0f} in {count.calls:5.1f} {count.function}, {file}")
    return total


async def _measure(roots: list[Path], functions: int) -> None:
    with provider() as upstream, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name, request in measures.TEXT_CHATS.items():
            totals = []
            for root in roots:
                counts = await _counted(root, request, upstream, Path(folder) / "counts.json")
                totals.append(_print(name, counts, root, functions))
            if len(totals) > 1:
                print(f"{name}: {totals[0] / totals[1]:.3f} times the instructions")


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions",
        description=__doc__.split("\n\n")[0] if __doc__ else None,
    )
    parser.add_argument(
        "--against", type=Path, help="a checkout of another version to compare with"
    )
    parser.add_argument(
        "--functions", type=int, default=0, help="functions to list, the largest first"
    )
    arguments = parser.parse_args()
    roots = [_HERE] if arguments.against is None else [_HERE, arguments.against.resolve()]
    asyncio.run(_measure(roots, arguments.functions))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures the cost of MongoDB's indexes per write, and the time of statistics and search for a user with many interactions.

    python -m bench.mongo_indexes --count 100000

Writes and reads go to a server of the tests, by the service's own adapter. Times of the server are its CPU time, all
threads.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymongo import IndexModel

from bench.scale.data import COMMON_WORD, RARE_WORD, MadeUpHistory
from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.entities.words import words_of
from infra.clock import SystemClock
from infra.history.mongo.store import MongoHistory, open_mongo
from tests.support.mongod import Mongod

_USER = "ana"
_AT_ONCE = 100
_WRITES = 10_000
_EARLIER = IndexModel([("userId", 1), ("words", 1), ("_id", -1)])
"""The word index of earlier versions, with one entry per word."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _opened(server: Mongod, database: str) -> AsyncIterator[MongoHistory]:
    async with open_mongo(
        server.uri, database=database, clock=SystemClock(), read_seconds=60.0
    ) as history:
        await history.make_indexes()
        await history.renew_words()
        yield history


async def _fill(history: MongoHistory, count: int) -> None:
    made_up = MadeUpHistory(count)
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        await history.append_many(
            [replace(made_up.interaction(number), user_id=_USER) for number in numbers]
        )


async def _measure_writes(server: Mongod, pid: int) -> None:
    print("| writes | server, µs CPU | elapsed, µs |\n|---|---:|---:|")
    for name, earlier in (("indexes of this version", []), ("and the earlier one", [_EARLIER])):
        async with _opened(server, f"writes_{len(earlier)}") as history:
            if earlier:
                await history.interactions.create_indexes(earlier)
            cpu, started = cpu_seconds(pid), time.monotonic()
            await _fill(history, _WRITES)
            cpu, elapsed = cpu_seconds(pid) - cpu, time.monotonic() - started
            print(f"| {name} | {1e6 * cpu / _WRITES:.0f} | {1e6 * elapsed / _WRITES:.0f} |")


async def _measure_reads(server: Mongod, pid: int, count: int) -> None:
    print(f"\n| reads, of {count} | server, s CPU | elapsed, s |\n|---|---:|---:|")
    async with _opened(server, "reads") as history:
        await _fill(history, count)
        reads: dict[str, Coroutine[Any, Any, object]] = {
            f"statistics by {by}": history.statistics(StatisticsQuery(user_id=_USER, by=by))
            for by in GroupBy
        }
        reads |= {
            f"search: {name}": history.search(
                HistoryQuery(user_id=_USER, filter=HistoryFilter(words=words_of(text)))
            )
            for name, text in (
                ("common word", COMMON_WORD),
                ("rare word", RARE_WORD),
                ("word that does not occur", "nowhere"),
            )
        }
        for name, read in reads.items():
            cpu, started = cpu_seconds(pid), time.monotonic()
            await read
            cpu, elapsed = cpu_seconds(pid) - cpu, time.monotonic() - started
            print(f"| {name} | {cpu:.2f} | {elapsed:.2f} |")


async def _measure(server: Mongod, count: int) -> None:
    pid = server.pid
    await _measure_writes(server, pid)
    await _measure_reads(server, pid, count)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.mongo_indexes")
    parser.add_argument("--count", type=int, default=100_000, help="interactions of the user")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-mongod-") as folder:
        server = Mongod(Path(folder))
        server.start()
        try:
            asyncio.run(_measure(server, parsed.count))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

"""How long the usage of all users takes, and what its index costs a write.

    python -m bench.usage --store sqlite --count 1000000
    python -m bench.usage --store mongodb --count 200000

Made-up interactions of one year, of two models and twenty keys, are added up by the service's own adapter, through the
whole range and through the last 30 days. Times of MongoDB are the CPU time of a server of the tests, all threads.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.mongo_indexes import cpu_seconds
from bench.scale.data import MadeUpHistory
from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.statistics import DAY_MILLISECONDS
from domain.entities.usage.report import UsageQuery
from infra.clock import SystemClock
from infra.history.format.documents import json_of
from infra.history.mongo.queries import USAGE_INDEX
from infra.history.mongo.store import MongoHistory, open_mongo
from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.store import open_sqlite
from infra.history.sqlite.write_jobs import Append
from infra.history.store.durable_store import DurableStore
from tests.support.mongod import Mongod

_AT_ONCE = 100
_WRITES = 10_000
_READ_SECONDS = 60.0
_KEYS = 20
_TURNS = 5
_COMMITTED_AT_ONCE = 16


@asynccontextmanager
async def _mongodb(server: Mongod, database: str) -> AsyncIterator[MongoHistory]:
    async with open_mongo(
        server.uri, database=database, clock=SystemClock(), read_seconds=_READ_SECONDS
    ) as history:
        await history.make_indexes()
        yield history


async def _fill(history: DurableStore, count: int) -> None:
    made_up = MadeUpHistory(count)
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        await history.append_many(
            [
                replace(made_up.interaction(number), credential=f"key{number % _KEYS}")
                for number in numbers
            ]
        )


async def _measure(history: DurableStore, count: int, cpu: Callable[[], float]) -> None:
    made_up = MadeUpHistory(count)
    end = milliseconds_of(made_up.id_of(count - 1)) + 1
    for name, days in (("30 days", 30), ("the year", 366)):
        query = UsageQuery(
            from_id=first_id_at(end - days * DAY_MILLISECONDS), to_id=first_id_at(end)
        )
        await history.usage(query)  # loads the pages into memory before the measurement
        started, cpu_before = time.perf_counter(), cpu()
        found = await history.usage(query)
        elapsed, spent = time.perf_counter() - started, cpu() - cpu_before
        interactions = sum(sums.figures.interactions for sums in found)
        print(
            f"{name}: {interactions} interactions, {elapsed:.2f} s elapsed, {spent:.2f} s CPU,"
            f" {spent / interactions * 1e6:.2f} µs CPU each"
        )


async def _sqlite(folder: Path, count: int) -> None:
    async with open_sqlite(
        folder, clock=SystemClock(), read_seconds=_READ_SECONDS, min_free_disk_bytes=0
    ) as history:
        await _fill(history, count)
        await _measure(history, count, time.process_time)


def _sqlite_writes(folder: Path) -> None:
    """Print the least cost of a write in five turns: other work on the machine only adds to it."""
    made_up = MadeUpHistory(_WRITES)
    bodies = [json_of(made_up.interaction(number)).decode() for number in range(_WRITES)]
    costs: dict[str, list[float]] = {"without the index": [], "with it": []}
    for turn in range(_TURNS):
        for name, spent in costs.items():
            migrations = HISTORY_MIGRATIONS if name == "with it" else HISTORY_MIGRATIONS[:-1]
            writer = open_writer(folder / f"{turn} {name}.db", migrations)
            committer = SqliteCommitter(writer)
            before = time.process_time()
            for first in range(0, _WRITES, _COMMITTED_AT_ONCE):
                committer.commit(
                    [Append((body,)) for body in bodies[first : first + _COMMITTED_AT_ONCE]]
                )
                committer.settle()
            spent.append(time.process_time() - before)
            committer.close()
    for name, spent in costs.items():
        print(f"a write {name}: {min(spent) / _WRITES * 1e6:.1f} µs CPU")


async def _mongo(server: Mongod, count: int) -> None:
    def cpu() -> float:
        return cpu_seconds(server.pid)

    async with _mongodb(server, "usage") as history:
        await _fill(history, count)
        await _measure(history, count, cpu)
    for name in ("without the index", "with it", "without the index", "with it"):
        async with _mongodb(server, "writes") as history:
            if name != "with it":
                await history.interactions.drop_index(USAGE_INDEX)
            before = cpu()
            await _fill(history, _WRITES)
            spent = cpu() - before
            print(f"a write {name}: {spent / _WRITES * 1e6:.0f} µs CPU of the server")
            await history.interactions.delete_many({})


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=["sqlite", "mongodb"], required=True)
    parser.add_argument("--count", type=int, default=200_000)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if parsed.store == "sqlite":
            asyncio.run(_sqlite(Path(folder), parsed.count))
            _sqlite_writes(Path(folder))
            return
        server = Mongod(Path(folder) / "mongod")
        server.start()
        try:
            asyncio.run(_mongo(server, parsed.count))
        finally:
            server.stop()


if __name__ == "__main__":
    _main()

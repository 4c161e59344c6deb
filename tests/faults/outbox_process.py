"""A process that accepts interactions in an outbox and says which, to be killed by a test."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.exceptions import HistoryUnavailable
from infra.clock import SystemClock
from infra.history.mongo.store import open_mongo
from infra.history.sqlite.outbox.outbox import Outbox, open_outbox
from infra.history.sqlite.store import open_sqlite
from tests.fakes.interactions import an_interaction
from tests.fakes.unreliable_store import UnreliableStore

MONGO_DATABASE = "rt"
READ_SECONDS = 10.0
WRITERS = 20


@asynccontextmanager
async def outbox_in(host: Path, store: str, *, is_stalled: bool = False) -> AsyncIterator[Outbox]:
    """Open an outbox of the host whose shared folder is `host`.

    Args:
        host: The processes' data folder.
        store: A MongoDB URI, or the folder of an embedded store.
        is_stalled: Nothing is ever delivered: what a fast and healthy store would hide comes to light.
    """
    opening = (
        open_mongo(store, database=MONGO_DATABASE, clock=SystemClock(), read_seconds=READ_SECONDS)
        if store.startswith("mongodb://")
        else open_sqlite(
            Path(store), clock=SystemClock(), read_seconds=READ_SECONDS, min_free_disk_bytes=0
        )
    )
    async with opening as behind:
        sink = UnreliableStore(behind)
        if is_stalled:
            sink.may_write.clear()
        async with open_outbox(
            host,
            store=sink,
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            min_free_disk_bytes=0,
            drain_seconds=0.0,
        ) as outbox:
            yield outbox


async def accept(outbox: Outbox, first: int, count: int) -> None:
    """Append interactions, each writer its own, and print the number of each one accepted."""

    async def write(writer: int) -> None:
        for number in range(first + writer, first + count, WRITERS):
            try:
                await outbox.append(an_interaction(number, text=f"answer {number} " * 50))
            except HistoryUnavailable:
                continue
            os.write(sys.stdout.fileno(), b"%d\n" % number)

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))


async def main() -> None:
    """Accept so many, then wait to be killed, or end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", type=Path)
    parser.add_argument("store")
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--stalled", action="store_true")
    parser.add_argument("--ends", action="store_true")
    given = parser.parse_args()
    async with outbox_in(given.host, given.store, is_stalled=given.stalled) as outbox:
        await accept(outbox, given.first, given.count)
        os.write(sys.stdout.fileno(), b"all\n")
        if not given.ends:
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

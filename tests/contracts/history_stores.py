"""Every implementation of the history ports, opened for a contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.interfaces.history import HistoryRepository
from infra.clock import SystemClock
from infra.history.sqlite import open_sqlite

READ_SECONDS = 10.0
"""Far above the product's own limit: a busy test machine is not what is tested here."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[HistoryRepository]:
    """The embedded store."""
    async with open_sqlite(
        folder,
        clock=SystemClock(),
        read_seconds=READ_SECONDS,
        min_free_disk_bytes=0,
        reap_seconds=0.05,
    ) as history:
        yield history


STORES = {"sqlite": sqlite}

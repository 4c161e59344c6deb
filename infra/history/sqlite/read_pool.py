"""Reads SQLite files in a thread pool, with a time limit."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from domain.exceptions import HistoryUnreadable
from infra.history.sqlite.errors import translate_read_errors
from infra.history.sqlite.schema import open_reader

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS = 50_000


class ReadConnections(threading.local):
    """Read-only connections of one thread, opened on first use.

    Attributes:
        until_seconds: Monotonic time after which the current read is aborted.
    """

    def __init__(self, opened: list[apsw.Connection]) -> None:
        self.until_seconds = 0.0
        self._opened = opened
        self._by_path: dict[Path, apsw.Connection] = {}

    def to(self, path: Path) -> apsw.Connection:
        """Return a connection to the file; raises `apsw.CantOpenError` if it does not exist."""
        connection = self._by_path.get(path)
        if connection is None:
            connection = open_reader(path)
            connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
            self._by_path[path] = connection
            self._opened.append(connection)
        return connection

    def keep_only(self, paths: Iterable[Path]) -> None:
        """Close the connections to other files, which may have been removed."""
        for path in self._by_path.keys() - set(paths):
            connection = self._by_path.pop(path)
            self._opened.remove(connection)
            connection.close()

    def _is_late(self) -> bool:
        return time.monotonic() > self.until_seconds


class ReadPool:
    """Runs reads in a few threads, so that the event loop never waits for a disk."""

    def __init__(self, *, seconds: float, threads: int = 4) -> None:
        """Create the pool; threads start on demand.

        Args:
            seconds: Limit of one read, including the wait for a thread.
            threads: Number of concurrent reads.
        """
        self._seconds = seconds
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="history-read")
        self._opened: list[apsw.Connection] = []
        self._connections = ReadConnections(self._opened)

    async def run(self, read: Callable[[ReadConnections], T]) -> T:
        """Return the result of `read`, run in one of the threads.

        Raises:
            HistoryUnreadable: SQLite failed, a row cannot be read, or it took too long.
        """
        until_seconds = time.monotonic() + self._seconds

        def work() -> T:
            self._connections.until_seconds = until_seconds
            with translate_read_errors():
                return read(self._connections)

        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except TimeoutError as exc:
            raise HistoryUnreadable("the embedded store took too long") from exc

    async def close(self) -> None:
        """Wait for the current reads and close the connections."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()

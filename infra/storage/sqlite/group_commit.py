"""Many callers, one thread, one sync of the disk."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

from domain.exceptions import HistoryUnavailable, Unstorable

logger = logging.getLogger(__name__)

MAX_BATCH_JOBS = 256
MAX_BATCH_BYTES = 8 * 1024 * 1024
CLOSE_SECONDS = 10.0


class Job(Protocol):
    """Something to write; `size_bytes` is about what it takes in memory."""

    @property
    def size_bytes(self) -> int: ...


J = TypeVar("J", bound=Job)
J_contra = TypeVar("J_contra", bound=Job, contravariant=True)


class Committer(Protocol[J_contra]):
    """Writes for a `GroupCommit`, always in its thread."""

    def commit(self, batch: Sequence[J_contra]) -> bool:
        """Make all of `batch` durable, in order, or nothing of it.

        Returns:
            Whether anything had to be written: else its success says nothing about the disk.

        Raises:
            Unstorable: Nothing was written, because of one of the jobs alone.
            HistoryUnavailable: Nothing was written; safe to try again.
        """
        ...

    def settle(self) -> None:
        """Do what may wait until the callers of the last batch were told; never raises."""
        ...

    def close(self) -> None:
        """Let go of the file; nothing is committed after it."""
        ...


class GroupCommit(Generic[J]):
    """Collects what waits, commits it at once and tells all who wait for it.

    The thread takes whatever is there, at most 256 jobs or about 8 MiB, and never waits for more: a batch grows by
    itself while the disk syncs the one before. A failed batch fails exactly those who wait for it, and the next one is
    tried anew, so a full disk heals without a restart. A job that can never be written fails alone: its batch is then
    committed one by one.

    Attributes:
        has_failed: Whether the last batch that had something to write failed.
    """

    def __init__(self, committer: Committer[J], *, name: str) -> None:
        """Start the thread; call from the running event loop, and from then on only from there."""
        self.has_failed = False
        self._committer = committer
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[J, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._is_closed = False
        # A daemon, so that a program that fails to close it can still end: what was acknowledged is durable anyway.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def busy_seconds(self) -> float:
        """Return how long the batch under way has taken so far."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def submit(self, job: J) -> asyncio.Future[None]:
        """Return a future that is done once `job` is durable.

        Cancelling it does not take the job back. Its exception is `HistoryUnavailable` when the job was not written.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        if self._is_closed:
            _fail(done, HistoryUnavailable("the store is closed"))
        else:
            self._jobs.put((job, done))
        return done

    async def close(self) -> None:
        """Refuse new jobs, write those that wait and end the thread. The second time changes nothing.

        A disk that hangs is waited for 10 s, then left to the end of the process.
        """
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            self._commit_until_closed()
        finally:
            self._committer.close()

    def _commit_until_closed(self) -> None:
        is_open = True
        while is_open:
            entry = self._jobs.get()
            if entry is None:
                return
            jobs, waiters = [entry[0]], [entry[1]]
            size_bytes = entry[0].size_bytes
            while len(jobs) < MAX_BATCH_JOBS and size_bytes < MAX_BATCH_BYTES:
                try:
                    entry = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    is_open = False
                    break
                jobs.append(entry[0])
                waiters.append(entry[1])
                size_bytes += entry[0].size_bytes
            self._write(jobs, waiters)

    def _write(self, jobs: Sequence[J], waiters: Sequence[asyncio.Future[None]]) -> None:
        self._busy_since = time.monotonic()
        try:
            has_written = self._committer.commit(jobs)
        except Exception as exc:  # noqa: BLE001 - those who wait are told, and the thread lives on
            if _is_of_one_job(exc) and len(jobs) > 1:
                for job, waiter in zip(jobs, waiters, strict=True):
                    self._write([job], [waiter])
                return
            self._tell(partial(self._wake, waiters, exc, False))
        except BaseException as exc:
            self._is_closed = True
            self._tell(partial(self._wake, waiters, exc, False))
            self._tell(self._fail_waiting)
            raise
        else:
            self._tell(partial(self._wake, waiters, None, has_written))
        try:
            self._committer.settle()
        except Exception:  # against its word, and no reason to stop
            logger.exception("what follows a commit failed")
        self._busy_since = None

    def _tell(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback)

    def _fail_waiting(self) -> None:
        """Fail what nobody will write any more."""
        while not self._jobs.empty():
            if (entry := self._jobs.get_nowait()) is not None:
                _fail(entry[1], HistoryUnavailable("the store is closed"))

    def _wake(
        self,
        waiters: Sequence[asyncio.Future[None]],
        error: BaseException | None,
        has_written: bool,
    ) -> None:
        # What is refused for its content says nothing of the disk.
        if not isinstance(error, Unstorable) and (error is not None or has_written):
            self.has_failed = error is not None
        for done in waiters:
            if done.done():  # cancelled
                continue
            if error is None:
                done.set_result(None)
            elif isinstance(error, HistoryUnavailable):
                _fail(done, _another(error))
            else:
                _fail(done, error)


def _is_of_one_job(error: Exception) -> bool:
    """Return whether others may succeed: it is a job's content or a bug, not the state of the file or the disk."""
    return isinstance(error, Unstorable) or not isinstance(error, HistoryUnavailable)


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    """Set the exception; a job nobody waits for may fail without a complaint of the loop."""
    done.set_exception(error)
    done.exception()


def _another(error: HistoryUnavailable) -> HistoryUnavailable:
    """Return one that a single waiter may raise: a shared one would gather everybody's tracebacks."""
    another = type(error)(*error.args)
    another.__cause__ = error
    return another

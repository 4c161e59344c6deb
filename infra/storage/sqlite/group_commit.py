"""Group commit: one thread writes the jobs of many callers with one sync of the disk."""

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
    """A write.

    Attributes:
        size_bytes: About how much memory it takes.
    """

    @property
    def size_bytes(self) -> int: ...


J = TypeVar("J", bound=Job)
J_contra = TypeVar("J_contra", bound=Job, contravariant=True)


class Committer(Protocol[J_contra]):
    """Writes batches; called in the thread of a `GroupCommit`."""

    def commit(self, batch: Sequence[J_contra]) -> bool:
        """Make all jobs of `batch` durable, in order, or none.

        Returns:
            Whether anything had to be written; without that the success says nothing about the disk.

        Raises:
            Unstorable: Nothing was written, because of one of the jobs.
            HistoryUnavailable: Nothing was written; safe to try again.
        """
        ...

    def settle(self) -> None:
        """Do the work that may follow the notification of the callers; must not raise."""
        ...

    def close(self) -> None:
        """Close the file; nothing is committed after it."""
        ...


class GroupCommit(Generic[J]):
    """Commits all queued jobs together and notifies their callers.

    The thread takes the jobs that are queued, at most 256 or about 8 MiB, and never waits for more: the next batch
    grows while the disk syncs the one before. A failed batch fails the futures of its own jobs only, and the next one
    is tried again, so that writes recover from a full disk without a restart. A job that can never be written fails
    alone: the jobs of its batch are then committed one by one.

    Attributes:
        has_failed: Whether the last batch with something to write failed.
    """

    def __init__(self, committer: Committer[J], *, name: str) -> None:
        """Start the thread; all methods are called from the running event loop."""
        self.has_failed = False
        self._committer = committer
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[J, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._is_closed = False
        # A daemon, so that a program that does not close it can end: acknowledged jobs are durable.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def busy_seconds(self) -> float:
        """Return the duration of the current batch so far; 0.0 without one."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def submit(self, job: J) -> asyncio.Future[None]:
        """Return a future that is done once `job` is durable.

        Cancelling the future does not withdraw the job. Its exception is `HistoryUnavailable` if the job was not
        written.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        if self._is_closed:
            _fail(done, HistoryUnavailable("the store is closed"))
        else:
            self._jobs.put((job, done))
        return done

    async def close(self) -> None:
        """Refuse new jobs, write the queued ones and end the thread; a second call changes nothing.

        It waits up to 10 s for a disk that hangs; the thread then ends with the process.
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
        except Exception as exc:  # noqa: BLE001 - the callers get the error, and the thread continues
            if _is_of_one_job(exc) and len(jobs) > 1:
                for job, waiter in zip(jobs, waiters, strict=True):
                    self._write([job], [waiter])
                return
            self._call_in_loop(partial(self._notify, waiters, exc, False))
        except BaseException as exc:
            self._is_closed = True
            self._call_in_loop(partial(self._notify, waiters, exc, False))
            self._call_in_loop(self._fail_waiting)
            raise
        else:
            self._call_in_loop(partial(self._notify, waiters, None, has_written))
        try:
            self._committer.settle()
        except Exception:  # callbacks must not raise; keep the writer thread alive if one does
            logger.exception("a callback after a commit failed")
        self._busy_since = None

    def _call_in_loop(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and its futures with it
            self._loop.call_soon_threadsafe(callback)

    def _fail_waiting(self) -> None:
        """Fail the jobs that are still queued when the thread ends."""
        while not self._jobs.empty():
            if (entry := self._jobs.get_nowait()) is not None:
                _fail(entry[1], HistoryUnavailable("the store is closed"))

    def _notify(
        self,
        waiters: Sequence[asyncio.Future[None]],
        error: BaseException | None,
        has_written: bool,
    ) -> None:
        # A job refused for its content says nothing about the disk.
        if not isinstance(error, Unstorable) and (error is not None or has_written):
            self.has_failed = error is not None
        for done in waiters:
            if done.done():  # cancelled
                continue
            if error is None:
                done.set_result(None)
            elif isinstance(error, HistoryUnavailable):
                _fail(done, _copy(error))
            else:
                _fail(done, error)


def _is_of_one_job(error: Exception) -> bool:
    """Return whether other jobs may succeed: the cause is a job's content or a bug, not the file or the disk."""
    return isinstance(error, Unstorable) or not isinstance(error, HistoryUnavailable)


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    """Set the exception, without asyncio's "exception was never retrieved" warning if no caller waits."""
    done.set_exception(error)
    done.exception()


def _copy(error: HistoryUnavailable) -> HistoryUnavailable:
    """Return a copy for a single caller: a shared exception would collect the tracebacks of all callers."""
    copy = type(error)(*error.args)
    copy.__cause__ = error
    return copy

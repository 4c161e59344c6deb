"""One thread commits for many callers, and each is notified of its own batch."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from domain.exceptions import HistoryUnavailable
from infra.storage.sqlite.group_commit import (
    MAX_BATCH_BYTES,
    MAX_BATCH_JOBS,
    Committer,
    GroupCommit,
)

PATIENCE_SECONDS = 120.0
STALLED = -1


@dataclass(frozen=True)
class Note:
    """A job."""

    number: int = 0
    size_bytes: int = 1


class Notebook(Committer[Note]):
    """Commits when it is let; `fails_with` fails all batches but the stalled one."""

    def __init__(self) -> None:
        self.batches: list[list[Note]] = []
        self.settled = 0
        self.is_closed = False
        self.has_something_to_write = True
        self.fails_with: BaseException | None = None
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.has_begun = threading.Event()
        self.threads: set[str] = set()

    def commit(self, batch: Sequence[Note]) -> bool:
        self.threads.add(threading.current_thread().name)
        self.has_begun.set()
        assert self.may_commit.wait(PATIENCE_SECONDS)
        if self.fails_with is not None and batch[0].number != STALLED:
            raise self.fails_with
        self.batches.append(list(batch))
        return self.has_something_to_write

    def settle(self) -> None:
        self.settled += 1

    def close(self) -> None:
        self.is_closed = True

    async def stall(self, commits: GroupCommit[Note]) -> asyncio.Future[None]:
        """Hold a first job in the thread, so that what follows has to wait."""
        self.may_commit.clear()
        self.has_begun.clear()
        first = commits.submit(Note(STALLED))
        assert await asyncio.to_thread(self.has_begun.wait, PATIENCE_SECONDS)
        return first


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
async def commits(notebook: Notebook) -> AsyncIterator[GroupCommit[Note]]:
    commits = GroupCommit[Note](notebook, name="notes")
    yield commits
    notebook.may_commit.set()
    await commits.close()


async def test_what_waits_is_committed_together(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    first = await notebook.stall(commits)
    others = [commits.submit(Note(number)) for number in range(10)]
    notebook.may_commit.set()
    await asyncio.gather(first, *others)

    assert [note.number for note in notebook.batches[1]] == list(range(10))
    assert len(notebook.batches) == 2
    assert notebook.threads == {"notes"}


async def test_a_lone_job_waits_for_nobody(commits: GroupCommit[Note], notebook: Notebook) -> None:
    await commits.submit(Note(7))

    assert notebook.batches == [[Note(7)]]


async def test_a_batch_has_a_size(commits: GroupCommit[Note], notebook: Notebook) -> None:
    await notebook.stall(commits)
    waiting = [commits.submit(Note(number)) for number in range(MAX_BATCH_JOBS + 1)]
    notebook.may_commit.set()
    await asyncio.gather(*waiting)

    assert [len(batch) for batch in notebook.batches] == [1, MAX_BATCH_JOBS, 1]


async def test_a_batch_has_a_weight(commits: GroupCommit[Note], notebook: Notebook) -> None:
    await notebook.stall(commits)
    waiting = [commits.submit(Note(size_bytes=MAX_BATCH_BYTES // 2)) for _ in range(4)]
    notebook.may_commit.set()
    await asyncio.gather(*waiting)

    assert [len(batch) for batch in notebook.batches] == [1, 2, 2]


async def test_a_failure_reaches_exactly_those_of_its_batch(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    first = await notebook.stall(commits)
    doomed = [commits.submit(Note(number)) for number in range(3)]
    notebook.fails_with = HistoryUnavailable("full")
    notebook.may_commit.set()
    await first
    await asyncio.wait(doomed)
    notebook.fails_with = None
    assert commits.has_failed
    await commits.submit(Note(9))

    errors = [done.exception() for done in doomed]
    assert [type(error) for error in errors] == [HistoryUnavailable] * 3
    assert len({id(error) for error in errors}) == 3
    assert not commits.has_failed
    assert notebook.batches[-1] == [Note(9)]


async def test_a_batch_with_nothing_to_write_heals_nothing(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    notebook.fails_with = HistoryUnavailable("full")
    await asyncio.wait([commits.submit(Note())])
    notebook.fails_with = None
    notebook.has_something_to_write = False
    await commits.submit(Note())

    assert commits.has_failed


async def test_a_bug_in_a_commit_is_told_and_the_thread_lives_on(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    notebook.fails_with = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await commits.submit(Note())
    notebook.fails_with = None

    await commits.submit(Note())


async def test_a_caller_who_left_does_not_disturb_the_others(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    await notebook.stall(commits)
    gone, stays = commits.submit(Note(1)), commits.submit(Note(2))
    gone.cancel()
    notebook.may_commit.set()
    await stays

    assert notebook.batches[1] == [Note(1), Note(2)], "a job once given is written"


async def test_closing_writes_what_waits_and_refuses_what_comes(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    await notebook.stall(commits)
    waiting = [commits.submit(Note(number)) for number in range(5)]
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    late = commits.submit(Note(99))
    notebook.may_commit.set()
    await asyncio.gather(*waiting)
    await closing

    with pytest.raises(HistoryUnavailable):
        await late
    assert sum(len(batch) for batch in notebook.batches) == 6
    assert notebook.is_closed
    assert commits.is_closed


async def test_it_says_how_long_the_disk_has_been_at_it(
    commits: GroupCommit[Note], notebook: Notebook
) -> None:
    assert commits.busy_seconds() == 0.0
    first = await notebook.stall(commits)
    assert commits.busy_seconds() > 0.0
    notebook.may_commit.set()
    await first
    await commits.close()

    assert commits.busy_seconds() == 0.0
    assert notebook.settled == 1

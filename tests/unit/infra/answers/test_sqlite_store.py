"""What only the file of event logs promises: when it is made, who reads it, how it heals."""

import asyncio
import stat
from pathlib import Path

import apsw
import pytest

from domain.entities.background.answer import BackgroundAnswer
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.answer_log import AnswerLog
from infra.answers.sqlite import store as sqlite
from infra.answers.sqlite.jobs import REMOVED_AT_ONCE
from infra.answers.sqlite.store import (
    ANSWERS_FILE,
    PURGE_PAUSE_SECONDS,
    SqliteAnswerLog,
    open_sqlite_answers,
)
from infra.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_interaction

ANSWER = BackgroundAnswer(interaction=an_interaction())
SECRET = "a canary of many letters that the file holds once" * 20


def opened(folder: Path) -> SqliteAnswerLog:
    return SqliteAnswerLog(
        folder / ANSWERS_FILE, SystemClock(), keep_seconds=1.0, read_seconds=10.0
    )


async def read(log: AnswerLog, number: int = 0) -> object:
    key = BackgroundAnswer(interaction=an_interaction(number)).key
    return await log.read(key, after=-1, limit=10)


async def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with open_sqlite_answers(
        folder, SystemClock(), keep_seconds=1.0, read_seconds=1.0
    ) as log:
        await log.erase(ANSWER.key)
        assert not folder.exists()
        await log.begin(ANSWER, lease_seconds=1.0)
        assert stat.S_IMODE((folder / ANSWERS_FILE).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_erased_events_are_overwritten_in_the_file(tmp_path: Path) -> None:
    log = opened(tmp_path)
    lease = await log.begin(ANSWER, lease_seconds=1.0)
    await log.append(lease, [SECRET])
    await log.erase(ANSWER.key)
    await log.close()  # moves the write-ahead log into the file
    assert b"canary" not in (tmp_path / ANSWERS_FILE).read_bytes()


async def test_an_empty_file_of_a_process_that_died_is_read_and_completed(tmp_path: Path) -> None:
    (tmp_path / ANSWERS_FILE).touch()
    log = opened(tmp_path)
    assert await read(log) is None
    assert list(await log.abandoned(limit=1)) == []
    await log.begin(ANSWER, lease_seconds=1.0)
    assert await read(log) is not None
    await log.close()


async def test_two_processes_that_create_the_file_at_once_both_write(tmp_path: Path) -> None:
    logs = [opened(tmp_path) for _ in range(4)]
    answers = [BackgroundAnswer(interaction=an_interaction(number)) for number in range(4)]
    await asyncio.gather(
        *(log.begin(answer, lease_seconds=1.0) for log, answer in zip(logs, answers, strict=True))
    )
    for number in range(4):
        assert await read(logs[0], number) is not None
    for log in logs:
        await log.close()


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / ANSWERS_FILE)) as connection:
        connection.pragma("user_version", 2)
    connection.close()
    log = opened(tmp_path)
    with pytest.raises(HistoryUnavailable):
        await log.begin(ANSWER, lease_seconds=1.0)
    with pytest.raises(HistoryUnreadable):
        await log.stop(ANSWER.key)
    with pytest.raises(HistoryUnreadable):
        await read(log)
    with pytest.raises(HistoryUnavailable):
        await log.abandoned(limit=1)
    await log.close()


async def test_a_folder_that_cannot_be_written_is_tried_again_with_each_call(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.write_text("in the way")
    log = opened(folder)
    with pytest.raises(HistoryUnavailable):
        await log.begin(ANSWER, lease_seconds=1.0)
    folder.unlink()
    lease = await log.begin(ANSWER, lease_seconds=1.0)
    await log.append(lease, ["a"])
    await log.close()


async def test_a_busy_file_fails_the_write_and_a_repetition_adds_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    lease = await log.begin(ANSWER, lease_seconds=1.0)
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.05)
    connection = apsw.Connection(str(tmp_path / ANSWERS_FILE))
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryUnavailable):
        await log.append(lease, ["a"])
    connection.execute("ROLLBACK")
    connection.close()
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 10.0)
    await log.append(lease, ["a"])
    found = await log.read(ANSWER.key, after=-1, limit=10)
    assert found is not None
    assert found.events == ("a",)
    await log.close()


async def test_a_closed_log_refuses_calls(tmp_path: Path) -> None:
    log = opened(tmp_path)
    lease = await log.begin(ANSWER, lease_seconds=1.0)
    await log.close()
    with pytest.raises(HistoryUnavailable):
        await log.append(lease, ["a"])
    with pytest.raises(HistoryUnreadable):
        await read(log)


async def test_all_expired_logs_are_removed_some_at_a_time(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / ANSWERS_FILE
    logs = 2 * REMOVED_AT_ONCE + 2
    async with open_sqlite_answers(tmp_path, clock, keep_seconds=60.0, read_seconds=10.0) as log:
        for number in range(logs):
            outcome = an_interaction(number)
            lease = await log.begin(BackgroundAnswer(interaction=outcome), lease_seconds=1.0)
            if number:
                await log.end(lease, [outcome])
        clock.advance(59.0)
        await log.purge()
        assert _rows(path) == (logs, logs, logs - 1)
        clock.advance(1.0)
        await log.purge()
        assert _rows(path) == (1, 1, 0)
    assert clock.slept == [PURGE_PAUSE_SECONDS] * 2  # between the removals


def _rows(path: Path) -> tuple[int, ...]:
    """Return the number of rows of each table."""
    connection = apsw.Connection(str(path))
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM answer), (SELECT count(*) FROM answer_request),"
        " (SELECT count(*) FROM answer_record)"
    ).fetchall()[0]
    connection.close()
    return counts

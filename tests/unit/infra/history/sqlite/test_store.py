"""What only the embedded store promises: its file, its limits, how it heals."""

import asyncio
import errno
import os
import resource
import stat
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from domain.entities.conversation import ConversationRecord
from domain.entities.history_query import HistoryFilter, HistoryQuery, Order
from domain.entities.interaction import Interaction, Status
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.sqlite import pages as sqlite_pages
from infra.history.sqlite import statistics as sqlite_statistics
from infra.history.sqlite import write_jobs as sqlite_jobs
from infra.history.sqlite.committer import CHECKPOINT_PAGES, SqliteCommitter
from infra.history.sqlite.conversation_records import SqliteConversationRecordReader
from infra.history.sqlite.outbox.outbox_file import acquire_outbox
from infra.history.sqlite.read_pool import ReadConnections, ReadPool
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_reader, open_writer
from infra.history.sqlite.store import HISTORY_FILE, SqliteHistory, open_sqlite
from infra.storage.sqlite import file_lock
from infra.storage.sqlite.group_commit import GroupCommit
from tests.contracts.history_walks import FILTERS, asking, mixed, passes, walk
from tests.fakes.interactions import an_id, an_interaction, begin

PATIENCE_SECONDS = 120.0


def opened(folder: Path, **changes: Any) -> AbstractAsyncContextManager[SqliteHistory]:
    """Open the embedded store in `folder`."""
    usual = {
        "clock": SystemClock(),
        "read_seconds": 10.0,
        "min_free_disk_bytes": 0,
        "reap_seconds": 0.05,
    }
    return open_sqlite(folder, **usual | changes)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    async with opened(tmp_path) as history:
        yield history


async def until_admitted(history: SqliteHistory) -> None:
    """Return once a new request would be admitted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return history.admit()
            except HistoryUnavailable:
                await asyncio.sleep(0.02)


async def until_refused(history: SqliteHistory) -> None:
    """Return once a new request would be refused."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                history.admit()
            except HistoryUnavailable:
                return
            await asyncio.sleep(0.02)


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size_bytes`: what a full disk looks like from here."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as history:
        await history.append(an_interaction(1))
    async with opened(tmp_path) as history:
        assert await history.find("ana", an_id(1)) == an_interaction(1)


async def test_only_one_process_may_have_the_file(history: SqliteHistory, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use by another process"):
        async with opened(tmp_path):
            pass
    await history.append(an_interaction())


@pytest.mark.seen("E5")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
async def test_a_file_system_without_locks_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_lock, "_lock", fail)
    with pytest.raises(ConfigurationError, match="does not lock files") as caught:
        async with opened(tmp_path):
            pass
    assert os.strerror(number) in str(caught.value)
    assert "local disk" in str(caught.value)
    assert "in use" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="does not lock files"):
        acquire_outbox(tmp_path)


@pytest.mark.seen("D10")
@pytest.mark.parametrize("user_id", ["bob", "ana"])
async def test_erasing_by_an_id_ends_only_a_request_of_ones_own(
    history: SqliteHistory, user_id: str
) -> None:
    under_way = an_interaction(1, text="", status=Status.INTERRUPTED)
    begin(history, under_way, lost_after_seconds=-1e9)
    await history.erase(user_id, an_id(1))
    begin(history, an_interaction(2, text="", status=Status.INTERRUPTED), lost_after_seconds=-1e9)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await history.find("ana", an_id(2)) is None:
            await asyncio.sleep(0.05)

    assert await history.find("ana", an_id(1)) == (under_way if user_id == "bob" else None)


@pytest.mark.seen("D1")
async def test_of_many_written_together_only_the_one_that_sqlite_refuses_fails(
    tmp_path: Path,
) -> None:
    def with_short_rows(connection: apsw.Connection) -> SqliteCommitter:
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, 100_000)
        return SqliteCommitter(connection)

    async with opened(tmp_path, committing=with_short_rows) as history:
        results = await asyncio.gather(
            *(
                history.append(an_interaction(number, text="x" * (200_000 if number == 5 else 10)))
                for number in range(10)
            ),
            return_exceptions=True,
        )
        assert [type(one) for one in results] == [
            Unstorable if number == 5 else type(None) for number in range(10)
        ]
        history.admit()
        found = await walk(history, asking(order=Order.ASC))
        assert [one.id for one in found] == [an_id(number) for number in range(10) if number != 5]


async def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    connection = apsw.Connection(str(tmp_path / HISTORY_FILE))
    connection.pragma("user_version", len(HISTORY_MIGRATIONS) + 1)
    connection.close()

    with pytest.raises(ConfigurationError, match="newer version"):
        async with opened(tmp_path):
            pass


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(b"not a database, but long enough to look at" * 100)

    with pytest.raises(ConfigurationError, match=HISTORY_FILE):
        async with opened(tmp_path):
            pass


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="file"):
        async with opened(tmp_path / "file" / "data"):
            pass


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")

    with pytest.raises(ConfigurationError, match=r"3\.51\.3"):
        async with opened(tmp_path):
            pass


def test_steps_added_later_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    open_writer(path, HISTORY_MIGRATIONS).close()
    later = (*HISTORY_MIGRATIONS, "CREATE TABLE added (x); INSERT INTO added VALUES (1)")
    open_writer(path, later).close()
    connection = open_writer(path, later)

    assert connection.execute("SELECT count(*) FROM added").get == 1
    connection.close()


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with pytest.raises(apsw.SQLError):
        open_writer(path, ("CREATE TABLE one (x); CREATE TABLE nonsense nonsense",))

    connection = open_writer(path, HISTORY_MIGRATIONS)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'one'").get == 0
    connection.close()


async def test_the_file_is_durable_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with opened(folder) as history:
        await history.append(an_interaction())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes) >= {"history.db", "history.db-wal", "history.db.lock"}
    assert set(modes.values()) == {0o600}


def test_every_commit_is_synced(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "history.db", HISTORY_MIGRATIONS)

    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("mmap_size") == 0
    connection.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = open_writer(path, HISTORY_MIGRATIONS)
    reader = open_reader(path)

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM interaction")
    reader.close()
    writer.close()


@pytest.mark.realtime
async def test_a_full_disk_is_told_and_heals(history: SqliteHistory, tmp_path: Path) -> None:
    kept = [an_interaction(number) for number in range(5)]
    await history.append_many(kept)
    with files_limited_to((tmp_path / "history.db-wal").stat().st_size):
        refused = await asyncio.gather(
            *(
                history.append(an_interaction(number, text="x" * 10_000))
                for number in range(10, 20)
            ),
            return_exceptions=True,
        )
        assert {type(one) for one in refused} == {HistoryUnavailable}
        with pytest.raises(HistoryUnavailable):
            history.admit()
        assert await walk(history, asking(order=Order.ASC)) == kept
        with pytest.raises(HistoryUnreadable):
            await history.erase("ana", an_id(0))
        with pytest.raises(HistoryUnreadable):
            await history.erase_all("ana", an_id(4))
        await history._admission.look()  # its probe fails as well
        await history.reap()  # and that there was nothing to reap says nothing about the disk
        with pytest.raises(HistoryUnavailable):
            history.admit()
    started = time.monotonic()
    await until_admitted(history)
    assert time.monotonic() - started < 5.0

    await history.append(an_interaction(30))
    assert await walk(history, asking(order=Order.ASC)) == [*kept, an_interaction(30)]


async def test_a_failed_outcome_leaves_its_start_marker(
    history: SqliteHistory, tmp_path: Path
) -> None:
    await history.append(an_interaction(1))
    under_way = an_interaction(2, status=Status.INTERRUPTED)
    begin(history, under_way, lost_after_seconds=-1e9)
    log_bytes = (tmp_path / "history.db-wal").stat().st_size
    with files_limited_to(log_bytes), pytest.raises(HistoryUnavailable):
        await history.append(an_interaction(2, text="x" * 10_000))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await history.find("ana", under_way.id) != under_way:
            await asyncio.sleep(0.02)


async def test_a_nearly_full_disk_admits_nothing_but_keeps_what_is_under_way(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, min_free_disk_bytes=2**60) as history:
        with pytest.raises(HistoryUnavailable):
            history.admit()
        await history.append(an_interaction())
        assert await history.find("ana", an_id()) is not None


async def test_a_disk_that_comes_back_is_noticed(tmp_path: Path) -> None:
    folder, away = tmp_path / "data", tmp_path / "away"
    async with opened(folder) as history:
        folder.rename(away)
        await until_refused(history)
        away.rename(folder)
        await until_admitted(history)


async def test_a_disk_that_hangs_admits_nothing(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GroupCommit, "busy_seconds", lambda _: 5.1)

    with pytest.raises(HistoryUnavailable):
        history.admit()


async def test_a_closed_store_admits_and_keeps_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as history:
        pass

    with pytest.raises(HistoryUnavailable):
        history.admit()
    with pytest.raises(HistoryUnavailable):
        await history.append(an_interaction())


async def test_a_request_under_way_at_the_end_is_interrupted_after_it(tmp_path: Path) -> None:
    under_way = an_interaction(1, text="", status=Status.INTERRUPTED)
    async with opened(tmp_path) as history:
        begin(history, under_way, lost_after_seconds=-1e9)
    async with opened(tmp_path, reap_seconds=3600.0) as history:
        assert await history.find("ana", an_id(1)) == under_way


async def test_a_request_answered_at_once_costs_no_marker(
    history: SqliteHistory, tmp_path: Path
) -> None:
    def interrupted() -> Interaction:
        raise AssertionError("the marker was not needed")

    history.begin(an_id(1), "ana", interrupted, lost_after_seconds=1e9)
    await history.append(an_interaction(1))
    begin(history, an_interaction(2, status=Status.INTERRUPTED), lost_after_seconds=1e9)
    reader = open_reader(tmp_path / HISTORY_FILE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (noted := reader.execute("SELECT id FROM started").fetchall()):
            await asyncio.sleep(0.02)
    assert noted == [(an_id(2),)]

    await history.append(an_interaction(2))
    assert reader.execute("SELECT count(*) FROM started").get == 0
    reader.close()


async def test_erasing_takes_the_start_marker_along(history: SqliteHistory, tmp_path: Path) -> None:
    reader = open_reader(tmp_path / HISTORY_FILE)
    for number in (1, 2, 3):
        begin(history, an_interaction(number, status=Status.INTERRUPTED), lost_after_seconds=1e9)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while reader.execute("SELECT count(*) FROM started").get < 3:
            await asyncio.sleep(0.02)

    await history.erase("ana", an_id(2))
    assert reader.execute("SELECT id FROM started").fetchall() == [(an_id(1),), (an_id(3),)]
    await history.erase_all("ana", an_id(2))
    assert reader.execute("SELECT id FROM started").fetchall() == [(an_id(3),)]
    reader.close()


async def test_an_erasure_cut_short_is_finished_at_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as history:
        await history.append_many([an_interaction(number) for number in range(20)])
    connection = open_writer(tmp_path / HISTORY_FILE, HISTORY_MIGRATIONS)
    connection.execute("INSERT INTO erased_user VALUES ('ana', ?, 1)", (an_id(15),))
    connection.close()
    async with opened(tmp_path) as history:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(await walk(history, asking())) > 5:
                await asyncio.sleep(0.01)
        assert await history.erase_all("ana", an_id(16)) == 2


async def test_nothing_of_what_was_erased_is_left_in_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as history:
        await history.append(an_interaction(1, text="canary " * 2000))
        await history.append(an_interaction(2, text="finch " * 10))
        await history.erase("ana", an_id(1))
        await history.purge_words()
    content = (tmp_path / HISTORY_FILE).read_bytes()

    assert b"finch" in content
    assert b"canary" not in content


@pytest.mark.slow
@pytest.mark.parametrize("filters", FILTERS, ids=" ".join)
@pytest.mark.parametrize("order", Order)
async def test_a_page_that_looked_far_enough_ends_early_and_goes_on(
    history: SqliteHistory,
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, object],
    order: Order,
) -> None:
    monkeypatch.setattr(sqlite_pages, "SCANNED_ROWS", 10)
    everything = [mixed(number) for number in range(120)]
    await history.append_many(everything)

    expected = [one for one in everything if passes(one, **filters)]
    for limit in (1, 4, 100):
        found = await walk(history, asking(order=order, limit=limit, **filters))
        assert found == (expected if order is Order.ASC else expected[::-1])


async def test_an_early_end_bounds_the_work(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_pages, "SCANNED_ROWS", 10)
    await history.append_many([an_interaction(number) for number in range(100)])

    page = await history.search(asking(provider="nobody"))
    assert list(page.interactions) == []
    assert page.next_id == an_id(90)


@pytest.mark.parametrize(
    "wanted",
    [
        HistoryFilter(),
        HistoryFilter(model="m"),
        HistoryFilter(conversation_id="c"),
        HistoryFilter(statuses=frozenset(Status)),
        HistoryFilter(statuses=frozenset({Status.FAILED}), provider="p"),
        HistoryFilter(model="m", provider="p", from_id=an_id(1), to_id=an_id(2)),
    ],
    ids=[
        "nothing",
        "model",
        "conversation",
        "statuses",
        "status and provider",
        "model, provider and times",
    ],
)
@pytest.mark.parametrize("order", Order)
async def test_no_page_sorts_or_scans_the_table(
    history: SqliteHistory, wanted: HistoryFilter, order: Order
) -> None:
    query = HistoryQuery(user_id="ana", filter=wanted, order=order, after_id=an_id(5))
    sql, values = sqlite_pages._statement(query)

    def explain(connections: ReadConnections) -> list[str]:
        rows = connections.to(history.path).execute("EXPLAIN QUERY PLAN " + sql, values)
        return [str(row[3]) for row in rows]

    plan = await history.reads.run(explain)
    assert any("USING" in step and "INDEX by_" in step for step in plan)
    sorts = [step for step in plan if "B-TREE" in step and "group_concat" not in step]
    assert not sorts
    assert not [step for step in plan if step.startswith("SCAN interaction")]


@pytest.mark.parametrize("sql", [*sqlite_statistics._GROUPS.values(), sqlite_statistics._ONE_GROUP])
async def test_no_body_is_read_to_add_up(history: SqliteHistory, sql: str) -> None:
    def explain(connections: ReadConnections) -> list[str]:
        values = {"user_id": "ana", "from_id": "", "to_id": "~", "day": "2026-11-22"}
        wanted = {name: value for name, value in values.items() if f":{name}" in sql}
        rows = connections.to(history.path).execute("EXPLAIN QUERY PLAN " + sql, wanted)
        return [str(row[3]) for row in rows]

    (search, *_) = await history.reads.run(explain)
    assert "COVERING INDEX figures (user_id=? AND id>? AND id<?)" in search


async def test_a_read_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    open_writer(path, HISTORY_MIGRATIONS).close()
    reads = ReadPool(seconds=0.2, threads=1)
    endless = (
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    with pytest.raises(HistoryUnreadable):
        await reads.run(lambda connections: connections.to(path).execute(endless).get)
    async with asyncio.timeout(PATIENCE_SECONDS):  # and its thread is free again
        while True:
            try:
                assert (
                    await reads.run(
                        lambda connections: connections.to(path).execute("SELECT 7").get
                    )
                    == 7
                )
                break
            except HistoryUnreadable:
                pass
    await reads.close()


async def test_a_row_of_a_newer_program_cannot_be_read(history: SqliteHistory) -> None:
    class Newer(sqlite_jobs.Append):
        pass

    await history.commits.submit(
        Newer(
            (
                f'{{"v":2,"id":"{an_id()}","userId":"ana","model":"m","status":"completed","answered":true}}',
            )
        )
    )

    with pytest.raises(HistoryUnreadable):
        await history.find("ana", an_id())
    with pytest.raises(HistoryUnreadable):
        await history.search(asking())


async def test_the_log_does_not_grow_for_ever(history: SqliteHistory, tmp_path: Path) -> None:
    for number in range(40):
        await history.append_many(
            [an_interaction(number * 100 + n, text="x" * 15_000) for n in range(20)]
        )

    assert (tmp_path / HISTORY_FILE).stat().st_size > 4 * 1024 * 1024
    assert (tmp_path / "history.db-wal").stat().st_size < 3 * CHECKPOINT_PAGES * 4096


@pytest.mark.realtime
async def test_a_write_costs_the_event_loop_little(history: SqliteHistory) -> None:
    one = an_interaction()
    started = time.thread_time()
    pending = [
        asyncio.ensure_future(history.append(replace(one, id=an_id(number))))
        for number in range(1000)
    ]
    await asyncio.sleep(0)
    spent_seconds = time.thread_time() - started
    await asyncio.gather(*pending)

    assert spent_seconds / 1000 < 300e-6, "twenty times the budget: a busy machine is no failure"


@pytest.mark.skipif(sys.platform == "win32", reason="umask is for POSIX")
async def test_a_careless_umask_does_not_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(tmp_path / "data") as history:
            await history.append(an_interaction())
            modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)

    assert modes == {0o600}


async def test_a_file_without_records_of_conversations_gets_them(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_FILE
    open_writer(path, HISTORY_MIGRATIONS[:-1]).close()
    reads = ReadPool(seconds=10.0, threads=1)
    before = SqliteConversationRecordReader(reads, path)
    assert [record async for record in before.all()] == []
    await reads.close()
    record = ConversationRecord(
        user_id="ana",
        conversation_id="loops",
        title="Loops",
        created_id=an_id(),
        changed_id=an_id(3),
    )
    async with opened(tmp_path) as history:
        await history.records.put(record)
    async with opened(tmp_path) as history:
        assert await history.records.get("ana", "loops") == record
        await history.expire(an_id(3))
        assert await history.records.get("ana", "loops") == record
        await history.expire(an_id(4))
        assert await history.records.get("ana", "loops") is None

"""Each process of a host reads every tombstone of the others exactly once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path

import apsw
import orjson
import pytest

from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryUnavailable
from infra.clock import SystemClock
from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.outbox import tombstone_log
from infra.history.sqlite.outbox.housekeeping import Housekeeping
from infra.history.sqlite.outbox.relay import Relay
from infra.history.sqlite.outbox.schema import OUTBOX_MIGRATIONS
from infra.history.sqlite.outbox.store_status import StoreStatus
from infra.history.sqlite.outbox.tombstone_log import Entry, make_log, tombstones_after
from infra.history.sqlite.schema import open_writer
from infra.history.sqlite.store import SqliteHistory, open_file
from infra.history.sqlite.tombstones import KeepTombstones
from infra.history.sqlite.write_jobs import EraseOne, EraseUser, SqlJob
from tests.fakes.interactions import an_id, an_interaction

Pair = tuple[str, str]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[apsw.Connection]:
    """The outbox of another process, with a log."""
    with open_outbox_file(tmp_path / "other.db") as connection:
        yield connection


@contextmanager
def open_outbox_file(path: Path, *, has_log: bool = True) -> Iterator[apsw.Connection]:
    """Open the outbox file of another process for writing."""
    with closing(open_writer(path, OUTBOX_MIGRATIONS)) as connection:
        if has_log:
            make_log(connection)
        yield connection


def pairs_in(tombstones: bytes) -> list[Pair]:
    """Return the users and ids of tombstones, those of single interactions first."""
    kinds = orjson.loads(tombstones or b'{"one": [], "all": []}')
    return [(user_id, found) for user_id, found in kinds["one"] + kinds["all"]]


def read_all(connection: apsw.Connection, seen: Entry | None) -> tuple[list[Pair], Entry | None]:
    """Return all new tombstones, page by page, and the last entry."""
    pairs: list[Pair] = []
    while True:
        new = tombstones_after(connection, seen)
        pairs += pairs_in(new.tombstones)
        seen = new.last
        if not new.has_more:
            return pairs, seen


def erase(connection: apsw.Connection, *numbers: int) -> list[Pair]:
    """Erase interactions of the user ana."""
    for number in numbers:
        EraseOne("ana", an_id(number)).run(connection)
    return [("ana", an_id(number)) for number in numbers]


@pytest.mark.parametrize("page_entries", [1, 2, 3, 5000])
def test_each_tombstone_is_read_once_however_the_writes_and_reads_alternate(
    other: apsw.Connection, monkeypatch: pytest.MonkeyPatch, page_entries: int
) -> None:
    monkeypatch.setattr(tombstone_log, "PAGE_ENTRIES", page_entries)
    pairs, seen = read_all(other, None)
    assert (pairs, seen) == ([], None)
    for count in (1, 0, 2, 3, 7, 0, 6):
        first = 0 if seen is None else seen[0]
        erased = erase(other, *range(first, first + count))
        pairs, seen = read_all(other, seen)
        assert pairs == erased


def test_erasing_again_and_in_steps_adds_no_tombstone(other: apsw.Connection) -> None:
    erase(other, 1)
    EraseUser("ana", an_id(5)).run(other)
    pairs, seen = read_all(other, None)
    assert pairs == [("ana", an_id(1)), ("ana", first_id_after(an_id(5)))]

    erase(other, 1)
    EraseUser("ana", an_id(5)).run(other)
    EraseUser("ana", an_id(3)).run(other)
    assert read_all(other, seen) == ([], seen)

    EraseUser("ana", an_id(9)).run(other)
    assert read_all(other, seen)[0] == [("ana", first_id_after(an_id(9)))]


def test_a_log_begins_with_the_tombstones_of_an_older_file(tmp_path: Path) -> None:
    with open_outbox_file(tmp_path / "old.db", has_log=False) as old:
        erase(old, 1, 2)
        whole = tombstones_after(old, None)
        assert pairs_in(whole.tombstones) == [("ana", an_id(1)), ("ana", an_id(2))]
        assert (whole.last, whole.has_more) == (None, False)

        make_log(old)
        make_log(old)
        erase(old, 3)
        assert read_all(old, None)[0] == [("ana", an_id(number)) for number in (1, 2, 3)]


def test_a_file_that_was_replaced_by_another_is_read_from_its_beginning(tmp_path: Path) -> None:
    with open_outbox_file(tmp_path / "first.db") as first:
        erase(first, 1, 2)
        seen = read_all(first, None)[1]
    for name, numbers in (("shorter.db", [3]), ("longer.db", [3, 4, 5])):
        with open_outbox_file(tmp_path / name) as second:
            erased = erase(second, *numbers)
            assert read_all(second, seen)[0] == erased


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[list[Pair]]:
    """What was copied from other files, one list a transaction."""
    copies: list[list[Pair]] = []
    run = KeepTombstones.run

    def note(job: KeepTombstones, connection: apsw.Connection) -> None:
        run(job, connection)
        copies.append(pairs_in(job.tombstones))

    monkeypatch.setattr(KeepTombstones, "run", note)
    return copies


def open_own(
    path: Path, committing: Callable[[apsw.Connection], SqliteCommitter] = SqliteCommitter
) -> AbstractAsyncContextManager[SqliteHistory]:
    """Open the outbox file of a process with housekeeping."""
    return open_file(
        path,
        clock=SystemClock(),
        read_seconds=10.0,
        min_free_disk_bytes=0,
        migrations=OUTBOX_MIGRATIONS,
        committing=committing,
    )


def housekeeping_of(own: SqliteHistory, monkeypatch: pytest.MonkeyPatch) -> Housekeeping:
    """Return the housekeeping of a process whose neighbours are all running."""

    async def adopt_none(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("infra.history.sqlite.outbox.housekeeping.adopt_all", adopt_none)
    clock = SystemClock()
    relay = Relay(own, own, StoreStatus(clock), clock)
    return Housekeeping(own, relay, clock, keep_delivered_seconds=3600.0)


async def test_housekeeping_copies_only_new_tombstones_of_files_that_come_change_and_vanish(
    tmp_path: Path,
    other: apsw.Connection,
    submitted: list[list[Pair]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_own(tmp_path / "own.db") as own:
        housekeeping = housekeeping_of(own, monkeypatch)
        first = erase(other, 1, 2)
        await housekeeping()
        await housekeeping()
        assert submitted == [first]

        await own.append_many([an_interaction(3), an_interaction(4)])
        second = erase(other, 3)
        with open_outbox_file(tmp_path / "third.db") as third:
            of_third = erase(third, 7)
        await housekeeping()
        assert submitted[1:] == [second, of_third]
        assert await own.find("ana", an_id(3)) is None
        assert await own.find("ana", an_id(4)) == an_interaction(4)

        for leftover in tmp_path.glob("third.db*"):
            leftover.unlink()
        await housekeeping()
        assert len(housekeeping.others) == 1
        with open_outbox_file(tmp_path / "third.db") as third:
            of_new_third = erase(third, 8, 9)
            await housekeeping()
            for leftover in tmp_path.glob("third.db*"):
                leftover.unlink()
            with open_outbox_file(tmp_path / "third.db") as replaced:
                of_replaced = erase(replaced, 10, 11, 12)
                await housekeeping()
        assert submitted[3:] == [of_new_third, of_replaced]


async def test_tombstones_that_could_not_be_copied_are_copied_in_the_next_round(
    tmp_path: Path,
    other: apsw.Connection,
    submitted: list[list[Pair]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FailsOnce(SqliteCommitter):
        """Fails the first copy of tombstones."""

        has_failed = False

        def commit(self, batch: Sequence[SqlJob]) -> bool:
            if any(isinstance(job, KeepTombstones) for job in batch) and not self.has_failed:
                self.has_failed = True
                raise HistoryUnavailable
            return super().commit(batch)

    async with open_own(tmp_path / "own.db", committing=FailsOnce) as own:
        housekeeping = housekeeping_of(own, monkeypatch)
        erased = erase(other, 1)
        await housekeeping()
        assert submitted == []
        await housekeeping()
        assert submitted == [erased]


async def test_a_file_without_a_log_is_read_whole_each_time(
    tmp_path: Path, submitted: list[list[Pair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_outbox_file(tmp_path / "old.db", has_log=False) as old:
        first = erase(old, 1)
        async with open_own(tmp_path / "own.db") as own:
            housekeeping = housekeeping_of(own, monkeypatch)
            await housekeeping()
            second = erase(old, 2)
            await housekeeping()
            make_log(old)
            await housekeeping()
            third = erase(old, 3)
            await housekeeping()
    assert submitted == [first, first + second, first + second, third]


async def test_copies_do_not_travel_to_and_fro(
    tmp_path: Path, submitted: list[list[Pair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copied tombstone is offered to the others once, and changes nothing there."""

    class WithLog(SqliteCommitter):
        """Has a log, as every outbox."""

        def __init__(self, connection: apsw.Connection) -> None:
            super().__init__(connection)
            make_log(connection)

    async with (
        open_own(tmp_path / "one.db", committing=WithLog) as one,
        open_own(tmp_path / "two.db", committing=WithLog) as two,
    ):
        await one.commits.submit(EraseOne("ana", an_id(1)))
        first, second = (housekeeping_of(file, monkeypatch) for file in (one, two))
        for _ in range(4):
            await second()
            await first()
    assert submitted == [[("ana", an_id(1))]] * 2

"""An old file is brought up to date in pieces, and says how far it is."""

import logging
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from infra.history.format.documents import record_of
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.search import index as sqlite_word_index
from infra.history.sqlite.search.index import MakeWordIndex
from infra.history.sqlite.write_jobs import insert
from infra.storage.sqlite import migrations as sqlite_migration
from tests.fakes.interactions import an_interaction

COUNT = 95


class DiesInTheMiddle(MakeWordIndex):
    """Goes on three times, then no more."""

    def __init__(self) -> None:
        self.times = 0

    def go_on(self, connection: apsw.Connection) -> float:
        self.times += 1
        if self.times > 3:
            raise KeyboardInterrupt
        return super().go_on(connection)


@pytest.fixture
def old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file without the index of words, in which something was erased."""
    monkeypatch.setattr(sqlite_word_index, "ROWS_AT_ONCE", 10)
    path = tmp_path / "history.db"
    with closing(open_writer(path, HISTORY_MIGRATIONS[:3])) as connection:
        insert(
            connection, tuple([record_of(an_interaction(n)).body.decode() for n in range(COUNT)])
        )
        connection.execute("DELETE FROM interaction WHERE seq BETWEEN 25 AND 64")
    return path


def test_what_was_cut_short_is_gone_on_with(old_file: Path) -> None:
    cut_short = [*HISTORY_MIGRATIONS[:3], DiesInTheMiddle(), *HISTORY_MIGRATIONS[4:]]
    with pytest.raises(KeyboardInterrupt):
        open_writer(old_file, cut_short)
    with closing(apsw.Connection(str(old_file))) as connection:
        assert connection.pragma("user_version") == 3
        assert (
            connection.execute("SELECT count(*) FROM place").get == 24
        )  # three pieces, with a gap
    with closing(open_writer(old_file, HISTORY_MIGRATIONS)) as connection:
        assert connection.pragma("user_version") == len(HISTORY_MIGRATIONS)
        assert connection.execute("SELECT count(*) FROM place").get == COUNT - 40
        assert connection.execute("SELECT count(*) FROM said('question')").get == COUNT - 40
        insert(connection, (record_of(an_interaction(200)).body.decode(),))
        assert connection.execute("SELECT count(*) FROM said('question')").get == COUNT - 39


def test_it_says_how_far_it_is(
    old_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_migration, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(sqlite_migration, "_OPERATIONS_BETWEEN_CHECKS", 100)
    with caplog.at_level(logging.INFO):
        open_writer(old_file, HISTORY_MIGRATIONS).close()
    step = f"{old_file} is being migrated, step 4 of {len(HISTORY_MIGRATIONS)}"
    assert f"{step}: 0 s so far" in caplog.messages
    assert f"{step}: 78% done, 0 s so far" in caplog.messages

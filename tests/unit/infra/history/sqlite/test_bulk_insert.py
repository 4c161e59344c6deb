"""Many rows at once leave the same in the embedded store's file as one after the other."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from domain.entities.interaction import Interaction, Status
from infra.history.format.documents import record_of
from infra.history.sqlite.bulk_insert import AppendMany
from infra.history.sqlite.committer import SqliteCommitter
from infra.history.sqlite.schema import HISTORY_MIGRATIONS, open_writer
from infra.history.sqlite.search.index import PLACES_A_MILLISECOND
from infra.history.sqlite.write_jobs import Append, EraseOne, KeepInFlightMarkers, SqlJob
from tests.contracts.history_walks import mixed
from tests.fakes.interactions import an_id, an_interaction

_EVERYTHING = """
SELECT user_id, id, conversation_id, model, provider, status, answered, body, place / ?
FROM interaction LEFT JOIN place USING (seq) ORDER BY user_id, id
"""
_FOUND = "SELECT id FROM said(?) JOIN place ON place = said.rowid JOIN interaction USING (seq) ORDER BY id"
_INSERT_TRIGGERS = """
SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'interaction'
AND sql LIKE '%AFTER INSERT%' ORDER BY name
"""


def bodies(interactions: list[Interaction]) -> tuple[str, ...]:
    return tuple([record_of(one).body.decode() for one in interactions])


def what_is_left(path: Path, job_of: type[Append] | type[AppendMany]) -> dict[str, Any]:
    """Write to a file in one way, and return all that is in it."""
    marker = b'{"dueMs":1,"of":%s}' % record_of(an_interaction(7, status=Status.INTERRUPTED)).body
    before: list[SqlJob] = [
        KeepInFlightMarkers(marker),
        EraseOne("ana", an_id(5)),
        Append(bodies([an_interaction(n, text="", status=Status.INTERRUPTED) for n in (2, 9)])),
        Append(bodies([an_interaction(4, text="was there")])),
    ]
    some = [mixed(number) for number in range(0, 60, 2)]
    twins = [an_interaction(30), an_interaction(30, text="another of the same id")]
    same_time = [an_interaction(id=an_id(40)[:-4] + f"{n:04x}", user_id="joe") for n in range(3)]
    with closing(open_writer(path, HISTORY_MIGRATIONS)) as connection:
        committer = SqliteCommitter(connection)
        committer.commit(before)
        committer.commit([job_of(bodies([*some, *twins])), job_of(bodies(same_time))])
        committer.commit([job_of(bodies([mixed(number) for number in range(60)]))])
        connection.execute("INSERT INTO said (said) VALUES ('integrity-check')")
        return {
            "rows": connection.execute(_EVERYTHING, (PLACES_A_MILLISECOND,)).fetchall(),
            "started": connection.execute("SELECT * FROM started").fetchall(),
            **{
                word: connection.execute(_FOUND, (word,)).fetchall()
                for word in ("question", "answer", "another", "was", "there")
            },
        }


def test_many_at_once_leave_what_one_after_the_other_leaves(tmp_path: Path) -> None:
    at_once = what_is_left(tmp_path / "at_once.db", AppendMany)
    assert at_once == what_is_left(tmp_path / "one_by_one.db", Append)
    assert at_once["started"] == []
    assert None not in {row[-1] for row in at_once["rows"]}
    assert an_id(5) not in {row[1] for row in at_once["rows"] if row[0] == "ana"}
    assert at_once["question"]


def test_it_does_what_each_trigger_would(tmp_path: Path) -> None:
    """A new trigger has to be reproduced in `AppendMany`."""
    with closing(open_writer(tmp_path / "history.db", HISTORY_MIGRATIONS)) as connection:
        names = [name for (name,) in connection.execute(_INSERT_TRIGGERS)]
    assert names == ["new_is_said", "outcome_ends_marker"]


def test_triggers_are_back_after_it_failed(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "history.db", HISTORY_MIGRATIONS)) as connection:
        with pytest.raises(apsw.Error), connection:
            AppendMany(("no JSON",)).run(connection)
        Append(bodies([an_interaction(1)])).run(connection)
        assert connection.execute("SELECT count(*) FROM place").get == 1

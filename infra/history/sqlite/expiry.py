"""Removes expired interactions from SQLite files, a few rows at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

from domain.entities.interaction import milliseconds_of
from infra.history.sqlite.search.index import PLACES_A_MILLISECOND
from infra.history.sqlite.write_jobs import SqlJob, remove_some
from infra.storage.sqlite.group_commit import GroupCommit

_IN_STORE = "SELECT seq FROM place WHERE place < :place ORDER BY place LIMIT :rows"
_IN_OUTBOX = """
SELECT seq FROM interaction
WHERE seq IN (SELECT seq FROM undelivered ORDER BY position LIMIT :rows) AND id < :id
UNION
SELECT seq FROM interaction
WHERE seq IN (SELECT seq FROM delivered ORDER BY at_ms LIMIT :rows) AND id < :id
LIMIT :rows
"""


@dataclass(slots=True)
class Expire:
    """Removes some interactions below an id; submit further jobs until one `is_finished`.

    It writes no tombstones: an interaction that is appended again expires again. The rows are removed from the file;
    their entries in the word index are removed when it is next merged, and match no search meanwhile.

    Attributes:
        first_kept_id: Interactions below this id are removed.
        is_finished: Whether none are left; valid once the job is committed.
    """

    first_kept_id: str
    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        place = milliseconds_of(self.first_kept_id) * PLACES_A_MILLISECOND
        _, self.is_finished = remove_some(connection, _IN_STORE, {"place": place})


@dataclass(slots=True)
class ExpireInOutbox(Expire):
    """Removes expired interactions from an outbox, those that wait longest for delivery or were delivered first."""

    def run(self, connection: apsw.Connection) -> None:
        _, self.is_finished = remove_some(connection, _IN_OUTBOX, {"id": self.first_kept_id})


async def expire_all(
    commits: GroupCommit[SqlJob], make_job: Callable[[str], Expire], first_kept_id: str
) -> None:
    """Remove all interactions below an id; raises `HistoryUnavailable`."""
    while first_kept_id:
        job = make_job(first_kept_id)
        await commits.submit(job)
        if job.is_finished:
            return

"""Writes batches of jobs to one SQLite file."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

import apsw

from infra.history.sqlite.errors import translate_write_errors
from infra.history.sqlite.write_jobs import Append, SqlJob, insert
from infra.storage.sqlite.group_commit import Committer

CHECKPOINT_PAGES = 2000
"""About 8 MB of log: fewer copies of the same page than with SQLite's default of 1000, and the pause is still short."""


class SqliteCommitter(Committer[SqlJob]):
    """The one connection that writes and checkpoints a file."""

    def __init__(
        self, connection: apsw.Connection, *, checkpoint_pages: int = CHECKPOINT_PAGES
    ) -> None:
        """Write over `connection`, and checkpoint when the log has `checkpoint_pages` pages."""
        self._connection = connection
        self._checkpoint_pages = checkpoint_pages
        self._log_pages = 0
        self._has_written = False
        connection.set_wal_hook(self._note_log_size)

    def commit(self, batch: Sequence[SqlJob]) -> bool:
        self._has_written = False
        with translate_write_errors():
            if all(type(job) is Append for job in batch):
                insert(self._connection, _joined(batch))
            else:
                self._commit_mixed(batch)
        return self._has_written

    def settle(self) -> None:
        if self._log_pages < self._checkpoint_pages:
            return
        self._log_pages = 0
        with suppress(apsw.Error):  # for example a full disk, which the next commit reports
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        with suppress(apsw.Error):  # pages not checkpointed are durable in the log
            self._connection.close()

    def _commit_mixed(self, batch: Sequence[SqlJob]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for is_append, jobs in groupby(batch, key=lambda job: type(job) is Append):
                if is_append:
                    insert(connection, _joined(list(jobs)))
                else:
                    for job in jobs:
                        job.run(connection)
            connection.execute("COMMIT")
        except BaseException:
            if not connection.get_autocommit():  # some errors roll back on their own
                connection.execute("ROLLBACK")
            raise

    def _note_log_size(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._has_written = True
        self._log_pages = pages
        return apsw.SQLITE_OK


def _joined(appends: Sequence[SqlJob]) -> tuple[str, ...]:
    return tuple([body for job in appends if isinstance(job, Append) for body in job.bodies])

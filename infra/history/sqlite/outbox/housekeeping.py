"""The periodic tasks of an outbox."""

from contextlib import closing
from pathlib import Path

from domain.exceptions import HistoryError, HistoryUnreadable
from domain.interfaces.clock import Clock
from infra.history.sqlite.expiry import ExpireInOutbox, expire_all
from infra.history.sqlite.outbox.delivery_jobs import Backlog, Purge, read_backlog
from infra.history.sqlite.outbox.orphan_recovery import adopt_all
from infra.history.sqlite.outbox.relay import Relay
from infra.history.sqlite.outbox.tombstone_log import Entry, NewTombstones, tombstones_after
from infra.history.sqlite.read_pool import ReadConnections
from infra.history.sqlite.schema import open_reader
from infra.history.sqlite.store import SqliteHistory
from infra.history.sqlite.tombstones import KeepTombstones
from infra.history.store.retention import FOR_EVER, Retention


class Housekeeping:
    """Takes over outboxes of dead processes, removes rows delivered long ago, and reads the files of running processes.

    Attributes:
        others: The backlogs of other processes of this host, as of the last round.
    """

    def __init__(
        self,
        file: SqliteHistory,
        relay: Relay,
        clock: Clock,
        *,
        keep_delivered_seconds: float,
        retention: Retention = FOR_EVER,
    ) -> None:
        self.others: list[Backlog] = []
        self._file = file
        self._relay = relay
        self._clock = clock
        self._retention = retention
        self._keep_delivered_milliseconds = round(keep_delivered_seconds * 1000)
        self._last_tombstones: dict[Path, Entry] = {}

    async def __call__(self) -> None:
        """Run one round; a task that fails is left to the next round."""
        await adopt_all(
            self._file.path.parent,
            self._file.path,
            self._file.commits,
            now_milliseconds=self._clock.now_milliseconds(),
        )
        self._relay.wake()
        try:
            await self._purge()
            await self._read_others()
        except HistoryError:
            return

    async def _purge(self) -> None:
        now_milliseconds = self._clock.now_milliseconds()
        await expire_all(
            self._file.commits, ExpireInOutbox, self._retention.first_kept_id(now_milliseconds)
        )
        before_milliseconds = now_milliseconds - self._keep_delivered_milliseconds
        while True:
            job = Purge(before_milliseconds)
            await self._file.commits.submit(job)
            if job.is_finished:
                return

    async def _read_others(self) -> None:
        """Read the backlogs and new tombstones of other running processes."""
        paths = set(self._file.path.parent.glob("*.db")) - {self._file.path}
        self._last_tombstones = {
            path: entry for path, entry in self._last_tombstones.items() if path in paths
        }
        others = []
        for path in sorted(paths):
            try:
                others.append(await self._read(path))
            except HistoryUnreadable:
                continue  # it is being made, or was just removed
        self.others = others

    async def _read(self, path: Path) -> Backlog:
        """Copy the tombstones of a file that were not copied before, and return its backlog."""

        def read(_: ReadConnections) -> tuple[Backlog, NewTombstones]:
            # A connection of its own: one that was opened before may lead to a file that was removed since.
            with closing(open_reader(path)) as connection:
                seen = self._last_tombstones.get(path)
                return read_backlog(connection), tombstones_after(connection, seen)

        while True:
            backlog, new = await self._file.reads.run(read)
            if new.tombstones:
                await self._file.commits.submit(KeepTombstones(new.tombstones))
            if new.last is not None:
                self._last_tombstones[path] = new.last
            if not new.has_more:
                return backlog

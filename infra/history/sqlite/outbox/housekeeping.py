"""What an outbox does every few seconds."""

from pathlib import Path

from domain.exceptions import HistoryError, HistoryUnreadable
from domain.interfaces.clock import Clock
from infra.history.sqlite.expiry import ExpireInOutbox, expire_all
from infra.history.sqlite.outbox.delivery_jobs import Backlog, Purge, backlog_of
from infra.history.sqlite.outbox.orphan_recovery import adopt_all
from infra.history.sqlite.outbox.relay import Relay
from infra.history.sqlite.store import SqliteHistory
from infra.history.sqlite.tombstones import KeepTombstones, told_by
from infra.history.store.retention import FOR_EVER, Retention


class Housekeeping:
    """Takes over outboxes left behind, drops what was delivered long ago, and hears what the living ones know.

    Attributes:
        others: What other processes of this host have still to deliver, as of the last look.
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
        self._told: dict[Path, bytes] = {}

    async def __call__(self) -> None:
        """Do all of it once; what fails is done the next time."""
        await adopt_all(
            self._file.path.parent,
            self._file.path,
            self._file.commits,
            now_milliseconds=self._clock.now_milliseconds(),
        )
        self._relay.wake()
        try:
            await self._purge()
            await self._hear_others()
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

    async def _hear_others(self) -> None:
        """Learn from the files of living processes: what they have yet to deliver, and what was erased there."""
        others = []
        for path in sorted(self._file.path.parent.glob("*.db")):
            if path == self._file.path:
                continue
            try:
                others.append(await self._hear(path))
            except HistoryUnreadable:
                continue  # just being made, or just removed
        self.others = others
        self._told = {path: told for path, told in self._told.items() if path.exists()}

    async def _hear(self, path: Path) -> Backlog:
        backlog, told = await self._file.reads.run(
            lambda connections: (backlog_of(connections.to(path)), told_by(connections.to(path)))
        )
        if self._told.get(path) != told:
            await self._file.commits.submit(KeepTombstones(told))
            self._told[path] = told
        return backlog

"""Whether a write made now is expected to succeed."""

import asyncio
import shutil
from pathlib import Path

from domain.exceptions import HistoryUnavailable
from infra.history.sqlite.write_jobs import Probe, SqlJob
from infra.storage.sqlite.group_commit import GroupCommit

LOOK_SECONDS = 1.0
STALLED_SECONDS = 5.0


class Admission:
    """Looks at the disk each second, so that asking it costs nothing."""

    def __init__(
        self, commits: GroupCommit[SqlJob], folder: Path, *, min_free_disk_bytes: int
    ) -> None:
        """Watch the disk `folder` is on.

        Args:
            commits: Who writes there.
            folder: On the disk in question.
            min_free_disk_bytes: Below it nothing new is admitted; what is under way still is written.
        """
        self._commits = commits
        self._folder = folder
        self._min_free_disk_bytes = min_free_disk_bytes
        self._has_room = True

    def check(self) -> None:
        """Return at once when all is well.

        Raises:
            HistoryUnavailable: The last write failed, the one under way hangs, or the disk is about to be full.
        """
        commits = self._commits
        if commits.is_closed:
            raise HistoryUnavailable("the store is closed")
        if commits.has_failed:
            raise HistoryUnavailable("the last write failed")
        if not self._has_room:
            raise HistoryUnavailable("the disk is nearly full")
        if commits.busy_seconds() > STALLED_SECONDS:
            raise HistoryUnavailable("the disk does not answer")

    async def look(self) -> None:
        """Measure the free space, and try a write if the last one failed."""
        try:
            usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
        except OSError:
            self._has_room = False
            return
        self._has_room = usage.free >= self._min_free_disk_bytes
        if self._commits.has_failed and self._has_room:
            await asyncio.wait([self._commits.submit(Probe())])

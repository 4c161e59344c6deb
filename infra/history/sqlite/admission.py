"""Refuses new interactions when a write made now is expected to fail."""

import asyncio
import shutil
from pathlib import Path

from domain.exceptions import HistoryUnavailable
from infra.history.sqlite.write_jobs import Probe, SqlJob
from infra.storage.sqlite.group_commit import GroupCommit

LOOK_SECONDS = 1.0
STALLED_SECONDS = 5.0


class Admission:
    """Measures the disk in the background, so that a check costs no system call."""

    def __init__(
        self, commits: GroupCommit[SqlJob], folder: Path, *, min_free_disk_bytes: int
    ) -> None:
        """Check the disk that holds `folder`.

        Args:
            commits: The writer of the file in it.
            folder: A folder on the disk.
            min_free_disk_bytes: Free space below which nothing new is admitted; interactions in flight are still
                written.
        """
        self._commits = commits
        self._folder = folder
        self._min_free_disk_bytes = min_free_disk_bytes
        self._has_room = True

    def check(self) -> None:
        """Return at once if a write is expected to succeed.

        Raises:
            HistoryUnavailable: The last write failed, the current one hangs, or the disk is nearly full.
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

"""Attachments in files under DATA_DIR."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryError, HistoryUnavailable, HistoryUnreadable
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from infra.attachments.disk_files import AttachmentFiles
from infra.configuration import ConfigurationError
from infra.tasks.supervised import repeating, running_tasks

P = ParamSpec("P")
T = TypeVar("T")

ATTACHMENTS_FOLDER = "attachments"
CALL_SECONDS = 30.0
LOOK_SECONDS = 1.0
STALLED_SECONDS = 5.0
THREADS = 4
"""Bounds the number of contents that are read or written at the same time."""


class DiskAttachments(AttachmentStore):
    """Files in the layout of `AttachmentFiles`, read and written in threads; several processes may share the folder."""

    def __init__(self, folder: Path, *, min_free_disk_bytes: int) -> None:
        """Use `folder`, which is created with the first attachment.

        Args:
            folder: The folder of attachments alone.
            min_free_disk_bytes: Free space that a new attachment leaves, as far as `admit` knows.
        """
        self._files = AttachmentFiles(folder)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="attachments")
        self._min_free_disk_bytes = min_free_disk_bytes
        self._free_bytes = 0
        self._has_failed = False
        self._looking_since: float | None = None

    def admit(self, size_bytes: int) -> None:
        if self._has_failed:
            raise HistoryUnavailable("the last attachment could not be written")
        if self._free_bytes - size_bytes < self._min_free_disk_bytes:
            raise HistoryUnavailable("the disk is nearly full")
        since = self._looking_since
        if since is not None and time.monotonic() - since > STALLED_SECONDS:
            raise HistoryUnavailable("the disk does not answer")

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        try:
            return await self._call(
                HistoryUnavailable, self._files.put, user_id, attachment_id, content, interaction_id
            )
        except HistoryUnavailable:
            self._has_failed = True
            raise

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        return await self._call(HistoryUnreadable, self._files.get, user_id, attachment_id)

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        for attachment_id in attachment_ids:
            await self._call(
                HistoryUnreadable,
                self._files.release,
                user_id,
                attachment_id,
                lambda reference: reference == interaction_id,
            )

    async def release_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        for found in await self._call(HistoryUnreadable, self._files.references, user_id):
            await self._call(
                HistoryUnreadable,
                self._files.release,
                user_id,
                found.attachment_id,
                lambda reference: reference < before_id,
            )

    async def references(self) -> AsyncIterator[AttachmentReferences]:
        """Yield all attachments, after deleting unfinished files of interrupted processes."""
        await self._call(HistoryUnreadable, self._files.clean)
        for user_id in await self._call(HistoryUnreadable, self._files.users):
            for found in await self._call(HistoryUnreadable, self._files.references, user_id):
                yield found

    async def look(self) -> None:
        """Measure the free space, and try a write if the last one failed."""
        self._looking_since = time.monotonic()
        try:
            self._free_bytes = await self._call(HistoryUnavailable, self._files.free_bytes)
            if self._has_failed:
                await self._call(HistoryUnavailable, self._files.try_to_write)
                self._has_failed = False
        except HistoryUnavailable:
            self._has_failed = True
        self._looking_since = None

    def close(self) -> None:
        """Start no further work; work in the threads is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(
        self,
        error: type[HistoryError],
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of `function`, called in a thread; it completes there even if this call is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
        except (OSError, ConfigurationError) as exc:  # TimeoutError is an OSError
            raise error("the disk does not work as it should") from exc


@asynccontextmanager
async def open_disk_attachments(
    data_dir: Path, *, clock: Clock, min_free_disk_bytes: int
) -> AsyncIterator[DiskAttachments]:
    """Use the folder `attachments` in `data_dir`, which is created with the first attachment.

    Args:
        data_dir: The folder of all files of the service.
        clock: For the pauses between measurements of the disk.
        min_free_disk_bytes: Free space that a new attachment must leave.
    """
    store = DiskAttachments(data_dir / ATTACHMENTS_FOLDER, min_free_disk_bytes=min_free_disk_bytes)
    await store.look()
    try:
        async with running_tasks(repeating(store.look, seconds=LOOK_SECONDS, clock=clock)):
            yield store
    finally:
        store.close()

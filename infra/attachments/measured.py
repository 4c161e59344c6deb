"""Attachments with metrics of storing and sweeping."""

import logging
from collections.abc import AsyncIterator, Sequence

from domain.exceptions import HistoryUnreadable
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from domain.interfaces.telemetry import AttachmentObserver
from domain.use_cases.sweep_attachments import SweepAttachments

logger = logging.getLogger(__name__)


class MeasuredAttachments(AttachmentStore):
    """Reports to an observer what `store` stores."""

    def __init__(self, store: AttachmentStore, observer: AttachmentObserver) -> None:
        self._store = store
        self._observer = observer

    def admit(self, size_bytes: int) -> None:
        self._store.admit(size_bytes)

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        is_new = await self._store.put(
            user_id, attachment_id, content, interaction_id=interaction_id
        )
        self._observer.observe_stored(len(content.content), is_new=is_new)
        return is_new

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        return await self._store.get(user_id, attachment_id)

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        await self._store.release(user_id, interaction_id, attachment_ids)

    async def release_all(self, user_id: str, until_id: str) -> None:
        await self._store.release_all(user_id, until_id)

    def references(self) -> AsyncIterator[AttachmentReferences]:
        return self._store.references()


class MeasuredSweep:
    """Sweeps, logs the result, and reports it to an observer."""

    def __init__(self, sweep: SweepAttachments, clock: Clock, observer: AttachmentObserver) -> None:
        self._sweep = sweep
        self._clock = clock
        self._observer = observer

    async def run(self) -> None:
        """Sweep once; the next sweep repeats one that fails since the store is unavailable."""
        started_seconds = self._clock.monotonic()
        try:
            result = await self._sweep()
        except HistoryUnreadable as exc:
            self._observer.observe_failed_sweep()
            logger.warning("the attachment sweep failed and will be repeated: %s", exc)
            return
        seconds = self._clock.monotonic() - started_seconds
        self._observer.observe_sweep(
            contents=result.attachments, released=result.released, seconds=seconds
        )
        logger.info(
            "attachments swept: %d contents, %d references without an interaction removed, %.1f s",
            result.attachments,
            result.released,
            seconds,
        )

"""Attachments with an outbox: stored on this host's disk, and delivered to the store before their interaction."""

from collections.abc import AsyncIterator, Sequence

from domain.entities.interaction import Interaction, milliseconds_of
from domain.exceptions import AttachmentsUnavailable, HistoryUnavailable, HistoryUnreadable
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from infra.history.sqlite.outbox.relay import Sink

LATE_SECONDS = 1800
"""Age of an interaction from which on a sweep may look for it before it is delivered; half the grace of sweeps."""


class OutboxAttachments(AttachmentStore):
    """Writes to this host's disk alone; reads and removes in both places.

    Args:
        local: On this host, shared by its processes.
        remote: The store that all hosts share.
    """

    def __init__(self, local: AttachmentStore, remote: AttachmentStore) -> None:
        self._local = local
        self._remote = remote

    def admit(self, size_bytes: int) -> None:
        self._local.admit(size_bytes)

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        return await self._local.put(user_id, attachment_id, content, interaction_id=interaction_id)

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        found = await self._local.get(user_id, attachment_id)
        return found or await self._remote.get(user_id, attachment_id)

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        # remote last: a concurrent delivery may add the reference there until it is removed here
        await self._local.release(user_id, interaction_id, attachment_ids)
        await self._remote.release(user_id, interaction_id, attachment_ids)

    async def release_all(self, user_id: str, until_id: str) -> None:
        await self._local.release_all(user_id, until_id)
        await self._remote.release_all(user_id, until_id)

    async def references(self) -> AsyncIterator[AttachmentReferences]:
        async for references in self._local.references():
            yield references
        async for references in self._remote.references():
            yield references


class AttachmentsFirst(Sink):
    """Delivers the attachments of interactions from this host's disk to the store, then the interactions.

    Args:
        sink: The destination of the interactions.
        local: On this host.
        remote: The store that all hosts share.
        clock: For the age of interactions.
    """

    def __init__(
        self, sink: Sink, local: AttachmentStore, remote: AttachmentStore, clock: Clock
    ) -> None:
        self._sink = sink
        self._local = local
        self._remote = remote
        self._clock = clock

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        """Deliver all of them; a repeated delivery stores nothing twice.

        Raises:
            AttachmentsUnavailable: The store of the attachments does not answer.
            HistoryUnavailable: The store of the interactions does not answer.
        """
        carried = [interaction for interaction in interactions if interaction.content_ids]
        if carried:
            await self._carry(carried)
        await self._sink.append_many(interactions)
        late_before = self._clock.now_milliseconds() - LATE_SECONDS * 1000
        late = [one for one in carried if milliseconds_of(one.id) < late_before]
        if late:
            # A sweep may have removed their references in the moment before the interactions were there.
            await self._carry(late)
        try:
            for interaction in carried:
                await self._local.release(
                    interaction.user_id, interaction.id, interaction.content_ids
                )
        except HistoryUnreadable as exc:
            # The repetition releases them; no sweep does, since the interaction exists.
            raise AttachmentsUnavailable("delivered attachments cannot be removed") from exc

    async def _carry(self, interactions: Sequence[Interaction]) -> None:
        try:
            for interaction in interactions:
                for content_id in interaction.content_ids:
                    content = await self._local.get(interaction.user_id, content_id)
                    if content is not None:
                        await self._remote.put(
                            interaction.user_id, content_id, content, interaction_id=interaction.id
                        )
        except (HistoryUnavailable, HistoryUnreadable) as exc:
            raise AttachmentsUnavailable("attachments cannot be delivered") from exc

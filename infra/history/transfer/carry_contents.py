"""Copy the contents that copied interactions refer to from one store to another."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.entities.copy_progress import Batch
from domain.entities.items import LONG_TEXT
from domain.entities.stored_record import InteractionKey, Record, Tombstone
from domain.interfaces.attachments import AttachmentStore, ContentReader, StoredContent
from domain.use_cases.copy_history import CopyContents

_AT_ONCE = 8
"""References to one content that are written at the same time."""


@dataclass(frozen=True, slots=True)
class CarryContents(CopyContents):
    """Stores the contents of a batch before its records, one content at a time.

    Attributes:
        source: Holds the contents that are not within the records.
        ids_of: Returns the ids of the contents that a record refers to.
        is_target_in_use: Whether a service may sweep the target meanwhile. It would remove references of interactions
            that are not stored yet, so references are written again once they are.
    """

    source: ContentReader
    target: AttachmentStore
    ids_of: Callable[[Record], Sequence[str]]
    is_target_in_use: bool

    async def store(self, batch: Batch, keys: Sequence[InteractionKey]) -> int:
        interaction_ids: dict[tuple[str, str], list[str]] = {}
        for key in keys:
            for content_id in batch.content_ids.get(key, ()):
                interaction_ids.setdefault((key.user_id, content_id), []).append(key.interaction_id)
        missing = 0
        for (user_id, content_id), (first, *others) in interaction_ids.items():
            content = await self._content(batch.texts, user_id, content_id)
            if content is None:
                missing += 1
                continue
            await self.target.put(user_id, content_id, content, interaction_id=first)
            for start in range(0, len(others), _AT_ONCE):
                await asyncio.gather(
                    *[
                        self.target.put(user_id, content_id, content, interaction_id=other)
                        for other in others[start : start + _AT_ONCE]
                    ]
                )
        return missing

    async def settle(self, batch: Batch, stored: Mapping[InteractionKey, Record]) -> None:
        taken: list[InteractionKey] = []
        for record in batch.records:
            key = record.key
            if (content_ids := batch.content_ids.get(key)) is None:
                continue
            kept = frozenset(self.ids_of(stored[key])) if key in stored else frozenset[str]()
            if surplus := [content_id for content_id in content_ids if content_id not in kept]:
                await self.target.release(*key, surplus)
            if kept.issuperset(content_ids):
                taken.append(key)
        if self.is_target_in_use and taken:
            await self.store(batch, taken)

    async def release(self, erasures: Sequence[Tombstone], erased: Sequence[Record]) -> None:
        for record in erased:
            if content_ids := self.ids_of(record):
                await self.target.release(*record.key, content_ids)
        for erasure in erasures:
            if erasure.until_id is not None:
                await self.target.release_all(erasure.user_id, erasure.until_id)

    async def _content(
        self, texts: Mapping[str, bytes], user_id: str, content_id: str
    ) -> StoredContent | None:
        if (text := texts.get(content_id)) is not None:
            return StoredContent(media_type=LONG_TEXT, content=text)
        found = await self.source.get(user_id, content_id)
        return found or await self.target.get(user_id, content_id)

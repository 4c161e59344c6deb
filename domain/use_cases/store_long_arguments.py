"""Store long texts like attachments, as far as the store takes them in time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.entities.interaction import Interaction
from domain.entities.items import LONG_TEXT, OutputItem, ToolCall, attachment_id, is_long
from domain.exceptions import HistoryUnavailable
from domain.interfaces.attachments import AttachmentStore, StoredContent

MAX_TEXT_SECONDS = 2.0
"""Time to store the long texts of a request, or of its answer.

A chat waits for it, and the row of the interaction can hold them too.
"""

_AT_ONCE = 8


async def store_texts(
    store: AttachmentStore,
    texts: Mapping[str, StoredContent],
    user_id: str,
    interaction_id: str,
    *,
    max_seconds: float,
) -> frozenset[str]:
    """Store long texts with a reference of the interaction, and return the ids of those that are durable in time.

    The others have to stay in the row of the interaction.
    """
    stored: set[str] = set()
    if not texts:
        return frozenset()
    try:
        store.admit(sum(len(text.content) for text in texts.values()))
    except HistoryUnavailable:
        return frozenset()
    places = asyncio.Semaphore(_AT_ONCE)

    async def put(content_id: str, text: StoredContent) -> None:
        async with places:
            try:
                await store.put(user_id, content_id, text, interaction_id=interaction_id)
            except HistoryUnavailable:
                return
        stored.add(content_id)

    try:
        async with asyncio.timeout(max_seconds), asyncio.TaskGroup() as group:
            for content_id, text in texts.items():
                group.create_task(put(content_id, text))
    except TimeoutError:
        pass
    return frozenset(stored)


@dataclass(frozen=True, slots=True)
class StoreLongArguments:
    """Keeps the stored row of an interaction small, and equal arguments once.

    Attributes:
        store: None if no store for attachments is configured.
        max_seconds: Arguments that are not durable by then stay in the row.
    """

    store: AttachmentStore | None
    max_seconds: float = MAX_TEXT_SECONDS

    async def __call__(self, interaction: Interaction) -> Interaction:
        """Return `interaction` with the ids of its long arguments, once they are durable.

        While the store does not answer, they stay in the row.
        """
        if self.store is None:
            return interaction
        texts: dict[str, StoredContent] = {}
        items: list[OutputItem] = []
        for item in interaction.items:
            if isinstance(item, ToolCall) and is_long(item.arguments):
                content = item.arguments.encode()
                content_id = attachment_id(interaction.user_id, content)
                texts[content_id] = StoredContent(media_type=LONG_TEXT, content=content)
                items.append(replace(item, content_id=content_id))
            else:
                items.append(item)
        if not texts:
            return interaction
        stored = await store_texts(
            self.store, texts, interaction.user_id, interaction.id, max_seconds=self.max_seconds
        )
        kept = [
            identified if _content_id(identified) in stored else sent
            for sent, identified in zip(interaction.items, items, strict=True)
        ]
        return replace(interaction, items=tuple(kept))


def _content_id(item: OutputItem) -> str | None:
    return item.content_id if isinstance(item, ToolCall) else None


ARGUMENTS_IN_ROW = StoreLongArguments(None)
"""Stores long arguments in the row of the interaction."""

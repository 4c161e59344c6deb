"""Store long arguments of tool calls like attachments."""

from dataclasses import dataclass, replace

from domain.entities.interaction import Interaction
from domain.entities.items import LONG_TEXT, OutputItem, ToolCall, attachment_id, is_long
from domain.exceptions import HistoryUnavailable
from domain.interfaces.attachments import AttachmentStore, StoredContent


@dataclass(frozen=True, slots=True)
class StoreLongArguments:
    """Keeps the stored row of an interaction small, and equal arguments once.

    Attributes:
        store: None if no store for attachments is configured.
    """

    store: AttachmentStore | None

    async def __call__(self, interaction: Interaction) -> Interaction:
        """Return `interaction` with the ids of its long arguments, once they are durable.

        While the store does not answer, they stay in the row.
        """
        items: list[OutputItem] = []
        for item in interaction.items:
            if isinstance(item, ToolCall) and self.store is not None and is_long(item.arguments):
                content = item.arguments.encode()
                content_id = attachment_id(interaction.user_id, content)
                try:
                    await self.store.put(
                        interaction.user_id,
                        content_id,
                        StoredContent(media_type=LONG_TEXT, content=content),
                        interaction_id=interaction.id,
                    )
                except HistoryUnavailable:
                    items.append(item)
                    continue
                items.append(replace(item, content_id=content_id))
            else:
                items.append(item)
        return replace(interaction, items=tuple(items))


ARGUMENTS_IN_ROW = StoreLongArguments(None)
"""Stores long arguments in the row of the interaction."""

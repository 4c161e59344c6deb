"""Load the contents of attachments in earlier messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.entities.items import Attachment, Item
from domain.entities.prompt import Message
from domain.interfaces.attachments import AttachmentStore


@dataclass(frozen=True, slots=True)
class LoadAttachments:
    """Loads the contents of attachments in earlier messages.

    Attributes:
        store: None if no store for attachments is configured.
        max_bytes: Contents beyond it are left out, the oldest first.
    """

    store: AttachmentStore | None
    max_bytes: int = 32 * 1024 * 1024

    async def __call__(
        self, messages: Sequence[Message], user_id: str, supported: frozenset[str]
    ) -> list[Message]:
        """Return `messages` with the contents of their attachments; those that cannot be sent are replaced by a text.

        Args:
            messages: Oldest first.
            user_id: Already authorised.
            supported: Capabilities of the model.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        left_bytes = self.max_bytes
        loaded: list[Message] = []
        for message in reversed(messages):
            items = list(message.items)
            for position in range(len(items) - 1, -1, -1):
                item = items[position]
                if not isinstance(item, Attachment) or item.content is not None:
                    continue
                items[position] = await self._loaded(item, user_id, supported, left_bytes)
                content = items[position]
                if isinstance(content, Attachment):
                    left_bytes -= content.size_bytes or 0
            loaded.append(replace(message, items=tuple(items)) if items else message)
        loaded.reverse()
        return loaded

    async def _loaded(
        self, item: Attachment, user_id: str, supported: frozenset[str], left_bytes: int
    ) -> Item:
        if item.capability is not None and item.capability not in supported:
            return item.as_text()
        if item.url is not None:
            return item
        if self.store is None or item.id is None or (item.size_bytes or 0) > left_bytes:
            return item.as_text()
        stored = await self.store.get(user_id, item.id)
        return item.as_text() if stored is None else replace(item, content=stored.content)


NO_ATTACHMENTS = LoadAttachments(None)
"""Has no store: attachments are replaced by texts."""

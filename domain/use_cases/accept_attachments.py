"""Store the attachments of a new message before it is answered."""

import asyncio
from dataclasses import dataclass, field, replace

from domain.entities.items import (
    LONG_TEXT,
    Attachment,
    Item,
    ToolResult,
    attachment_id,
    attachments,
    is_long,
)
from domain.entities.prompt import Message, Prompt
from domain.entities.tools import text_of_tools
from domain.exceptions import InvalidAttachment
from domain.interfaces.attachments import AttachmentStore, StoredContent
from domain.use_cases.store_long_arguments import MAX_TEXT_SECONDS, store_texts

_HASHED_IN_THREAD_BYTES = 256 * 1024
"""From this size on, hashing takes longer than starting a thread for it."""


@dataclass(frozen=True, slots=True)
class AcceptedAttachments:
    """Attachments of one new message.

    Attributes:
        prompt: The prompt with the ids and contents of all attachments.
    """

    prompt: Prompt
    _contents: dict[str, StoredContent] = field(default_factory=dict)
    _texts: dict[str, StoredContent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AcceptAttachments:
    """Checks and stores attachments.

    Attributes:
        store: None if no store for attachments is configured.
        max_bytes: Limit of the distinct contents of a request together, since ids let a small body name large ones.
        max_text_seconds: Long texts that are not durable by then stay in the row of the interaction.
    """

    store: AttachmentStore | None
    max_bytes: int = 32 * 1024 * 1024
    max_text_seconds: float = MAX_TEXT_SECONDS

    async def check(self, prompt: Prompt, user_id: str) -> AcceptedAttachments:
        """Return the prompt with ids for attachments and long texts, and their contents; nothing is stored yet.

        A prompt without either is returned as it is.

        Args:
            prompt: Its new messages may name stored contents by id alone.
            user_id: Already authorised.

        Raises:
            InvalidAttachment: This user has no attachment with an id, all together are too large, or none can be
                stored here.
            HistoryUnavailable: Nothing can be stored at the moment.
            HistoryUnreadable: Stored contents cannot be read.
        """
        contents: dict[str, StoredContent] = {}
        texts: dict[str, StoredContent] = {}
        items: dict[int, Item] = {}
        new_items = prompt.new_items
        for position, sent in enumerate(attachments(new_items)):
            if sent.url is not None:
                continue
            items[id(sent)] = await self._identified(sent, position, user_id, contents)
            if sum(len(stored.content) for stored in contents.values()) > self.max_bytes:
                raise InvalidAttachment(
                    f"all together must be at most {self.max_bytes} bytes", position
                )
        if self.store is None:
            return AcceptedAttachments(prompt)
        for item in new_items:
            if isinstance(item, ToolResult) and is_long(item.output):
                content_id = _add_text(texts, user_id, item.output)
                items[id(item)] = replace(item, content_id=content_id)
        if items:
            messages = tuple([_with(message, items) for message in prompt.messages])
            prompt = replace(prompt, messages=messages)
        if is_long(prompt.system):
            content_id = _add_text(texts, user_id, prompt.system)
            prompt = replace(prompt, system_content_id=content_id)
        if prompt.tools and is_long(tools := text_of_tools(prompt.tools)):
            content_id = _add_text(texts, user_id, tools)
            prompt = replace(prompt, tools_content_id=content_id)
        if contents:
            self.store.admit(sum(len(stored.content) for stored in contents.values()))
        return AcceptedAttachments(prompt, contents, texts)

    async def store_all(
        self, accepted: AcceptedAttachments, user_id: str, interaction_id: str
    ) -> frozenset[str]:
        """Store the contents with a reference of the interaction; return once they are durable.

        Returns:
            The ids of long texts that the store did not take in time; they stay in the row of the interaction.

        Raises:
            HistoryUnavailable: An attachment is not stored; a retry is safe.
        """
        if self.store is None:
            return frozenset()
        for content_id, stored in accepted._contents.items():
            await self.store.put(user_id, content_id, stored, interaction_id=interaction_id)
        texts = accepted._texts
        stored_ids = await store_texts(
            self.store, texts, user_id, interaction_id, max_seconds=self.max_text_seconds
        )
        return frozenset(texts) - stored_ids

    async def _identified(
        self, item: Attachment, position: int, user_id: str, contents: dict[str, StoredContent]
    ) -> Attachment:
        if self.store is None:
            raise InvalidAttachment("no store for attachments is configured", position)
        if item.content is not None:
            content_id = await _id_of(user_id, item.content)
            contents[content_id] = StoredContent(media_type=item.media_type, content=item.content)
            return replace(item, id=content_id, size_bytes=len(item.content))
        assert item.id is not None
        stored = contents.get(item.id) or await self.store.get(user_id, item.id)
        if stored is None:
            raise InvalidAttachment(f"unknown: {item.id}", position)
        contents[item.id] = stored
        return replace(
            item,
            media_type=stored.media_type,
            size_bytes=len(stored.content),
            content=stored.content,
        )


async def _id_of(user_id: str, content: bytes) -> str:
    if len(content) < _HASHED_IN_THREAD_BYTES:
        return attachment_id(user_id, content)
    return await asyncio.to_thread(attachment_id, user_id, content)


def _with(message: Message, items: dict[int, Item]) -> Message:
    if not message.items:
        return message
    return replace(message, items=tuple([items.get(id(item), item) for item in message.items]))


def _add_text(contents: dict[str, StoredContent], user_id: str, text: str) -> str:
    """Add a text to `contents` and return its id."""
    content = text.encode()
    content_id = attachment_id(user_id, content)
    contents[content_id] = StoredContent(media_type=LONG_TEXT, content=content)
    return content_id

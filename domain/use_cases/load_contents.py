"""Load the long texts of interactions that are stored like attachments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.entities.interaction import Interaction
from domain.entities.items import Item, ToolCall, ToolResult
from domain.entities.prompt import Message
from domain.entities.tools import tools_of_text
from domain.interfaces.attachments import ContentReader


@dataclass(frozen=True, slots=True)
class LoadContents:
    """Completes interactions as read from history.

    Attributes:
        store: None if no store for attachments is configured.
    """

    store: ContentReader | None

    async def __call__(self, interactions: Sequence[Interaction]) -> Sequence[Interaction]:
        """Return `interactions` with their instructions, tools, arguments and results; most need nothing.

        A content that is no longer stored is empty.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        if self.store is None or not any(map(_may_need_contents, interactions)):
            return interactions
        return [await self._completed(interaction) for interaction in interactions]

    async def of_messages(self, messages: Sequence[Message], user_id: str) -> list[Message]:
        """Return `messages` with the arguments and results among their items."""
        if self.store is None:
            return list(messages)
        return [
            replace(message, items=tuple(await self._items(message.items, user_id)))
            if message.items
            else message
            for message in messages
        ]

    async def _completed(self, interaction: Interaction) -> Interaction:
        if not _may_need_contents(interaction):
            return interaction
        prompt, user_id = interaction.prompt, interaction.user_id
        if prompt.system_content_id is not None:
            prompt = replace(prompt, system=await self._text(user_id, prompt.system_content_id))
        if prompt.tools_content_id is not None:
            text = await self._text(user_id, prompt.tools_content_id)
            prompt = replace(prompt, tools=tools_of_text(text) if text else ())
        messages = tuple(await self.of_messages(prompt.messages, user_id))
        return replace(
            interaction,
            prompt=replace(prompt, messages=messages),
            items=tuple(await self._items(interaction.items, user_id)),
        )

    async def _items(self, items: Iterable[Item], user_id: str) -> list[Any]:
        """Return items of the same kinds."""
        completed: list[Item] = []
        for item in items:
            if isinstance(item, ToolCall) and item.content_id is not None:
                arguments = await self._text(user_id, item.content_id)
                completed.append(replace(item, arguments=arguments or "{}"))
            elif isinstance(item, ToolResult) and item.content_id is not None:
                output = await self._text(user_id, item.content_id)
                is_json = item.is_json and bool(output)
                completed.append(replace(item, output=output, is_json=is_json))
            else:
                completed.append(item)
        return completed

    async def _text(self, user_id: str, content_id: str) -> str:
        assert self.store is not None
        stored = await self.store.get(user_id, content_id)
        return "" if stored is None else stored.content.decode(errors="replace")


CONTENTS_AS_STORED = LoadContents(None)
"""Loads nothing."""


def _may_need_contents(interaction: Interaction) -> bool:
    prompt = interaction.prompt
    return bool(
        interaction.items
        or any(message.items for message in prompt.messages)
        or prompt.system_content_id
        or prompt.tools_content_id
    )

"""Separates the long texts of an interaction from it, and puts them back."""

from collections.abc import Mapping
from dataclasses import replace

from domain.entities.interaction import Interaction
from domain.entities.items import Item, ToolCall, ToolResult, attachment_id, is_long
from domain.entities.prompt import Message
from domain.entities.tools import text_of_tools


def separate_long_texts(interaction: Interaction) -> tuple[Interaction, Mapping[str, bytes]]:
    """Return `interaction` with the ids of its long texts, and these texts as UTF-8 by id.

    These are the texts that are stored apart when a request is answered: instructions, tools, arguments and results.
    """
    texts: dict[str, bytes] = {}

    def separate(text: str) -> str:
        content = text.encode()
        content_id = attachment_id(interaction.user_id, content)
        texts[content_id] = content
        return content_id

    def separated(item: Item) -> Item:
        if isinstance(item, ToolCall) and is_long(item.arguments):
            return replace(item, content_id=separate(item.arguments))
        if isinstance(item, ToolResult) and is_long(item.output):
            return replace(item, content_id=separate(item.output))
        return item

    prompt = interaction.prompt
    if is_long(prompt.system):
        prompt = replace(prompt, system_content_id=separate(prompt.system))
    if prompt.tools and is_long(tools := text_of_tools(prompt.tools)):
        prompt = replace(prompt, tools_content_id=separate(tools))
    messages = tuple(
        [
            replace(message, items=tuple([separated(item) for item in message.items]))
            for message in prompt.messages
        ]
    )
    items = tuple([separated(item) for item in interaction.items])
    if not texts:
        return interaction, texts
    prompt = replace(prompt, messages=messages)
    return replace(interaction, prompt=prompt, items=items), texts  # type: ignore[arg-type]


def join_long_texts(interaction: Interaction) -> Interaction:
    """Return `interaction`, whose contents are loaded, without the ids of its long texts."""

    def joined(item: Item) -> Item:
        return replace(item, content_id=None) if isinstance(item, ToolCall | ToolResult) else item

    def joined_message(message: Message) -> Message:
        return replace(message, items=tuple([joined(item) for item in message.items]))

    prompt = replace(
        interaction.prompt,
        messages=tuple([joined_message(message) for message in interaction.prompt.messages]),
        system_content_id=None,
        tools_content_id=None,
    )
    items = tuple([joined(item) for item in interaction.items])
    return replace(interaction, prompt=prompt, items=items)  # type: ignore[arg-type]

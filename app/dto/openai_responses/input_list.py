"""The input of a stored response, and pages of items, in OpenAI's Responses format."""

from base64 import b64encode
from collections.abc import Sequence

from app.dto.openai_responses.output import JsonObject, call_item, message_item, reasoning_item
from domain.entities.interaction import Interaction
from domain.entities.items import Attachment, Item, Reasoning, Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Role


def input_items(interaction: Interaction) -> list[JsonObject]:
    """Return the items of the request, in order; their ids are made from the interaction."""
    items: list[JsonObject] = []
    for message in interaction.prompt.messages:
        items += message_items(message, interaction.id, len(items))
    return items


def message_items(message: Message, interaction_id: str, position: int) -> list[JsonObject]:
    """Return the items of a message.

    Args:
        message: Of a request, or added to a conversation.
        interaction_id: Of the request, or of the added item; the ids are made from it.
        position: Number of items before the message.
    """
    prefix = interaction_id.replace("-", "")

    def identifier(kind: str, offset: int) -> str:
        return f"{kind}_{prefix}i{position + offset:02x}"

    if message.role is Role.ASSISTANT:
        answered: list[JsonObject] = []
        for item in message.content:
            match item:
                case Text():
                    answered.append(message_item(identifier("msg", len(answered)), item.text))
                case ToolCall():
                    answered.append(call_item(identifier("fc", len(answered)), item))
                case Reasoning():
                    answered.append(reasoning_item(identifier("rs", len(answered)), item.text))
        return answered
    items: list[JsonObject] = [
        {
            "id": identifier("fco", offset),
            "type": "function_call_output",
            "call_id": item.call_id,
            "output": item.output,
            "status": "completed",
        }
        for offset, item in enumerate(i for i in message.items if isinstance(i, ToolResult))
    ]
    content = [part for item in message.content if (part := _part(item)) is not None]
    if content:
        items.append(
            {
                "id": identifier("msg", len(items)),
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": content,
            }
        )
    return items


def item_list(page: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    """Return a page of items."""
    return {
        "object": "list",
        "data": list(page),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": has_more,
    }


def _part(item: Item) -> JsonObject | None:
    if isinstance(item, Text):
        return {"type": "input_text", "text": item.text}
    if not isinstance(item, Attachment):
        return None
    data = None
    if item.content is not None:
        data = f"data:{item.media_type};base64,{b64encode(item.content).decode()}"
    if item.media_type.startswith("image/"):
        return {"type": "input_image", "detail": "auto", "image_url": item.url or data}
    return {"type": "input_file", "filename": item.name, "file_url": item.url, "file_data": data}

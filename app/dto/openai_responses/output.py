"""Output items of a response in OpenAI's Responses format."""

from dataclasses import dataclass, field
from typing import Any

from app.dto.openai_responses.ids import item_id
from domain.entities.interaction import Interaction
from domain.entities.items import OutputItem, Reasoning, Text, ToolCall

MESSAGE, CALL, REASONING = "msg", "fc", "rs"
"""Prefixes of the ids of output items."""

COMPLETED, INCOMPLETE = "completed", "incomplete"

JsonObject = dict[str, Any]


def text_part(text: str) -> JsonObject:
    """Return the content part of a text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def message_item(identifier: str, text: str, status: str = COMPLETED) -> JsonObject:
    """Return an item of text; one that is still empty has no content."""
    content = [text_part(text)] if text else []
    return {
        "id": identifier,
        "type": "message",
        "status": status,
        "content": content,
        "role": "assistant",
    }


def call_item(identifier: str, call: ToolCall, *, is_done: bool = True) -> JsonObject:
    """Return an item of a tool call."""
    return {
        "id": identifier,
        "type": "function_call",
        "status": "completed" if is_done else "in_progress",
        "arguments": call.arguments if is_done else "",
        "call_id": call.id,
        "name": call.name,
    }


def reasoning_item(identifier: str, text: str, sealed: str | None = None) -> JsonObject:
    """Return an item of reasoning.

    Args:
        identifier: Of the item.
        text: Shown as a summary; empty for none.
        sealed: Sealed metadata of the answer; None without any.
    """
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: JsonObject = {"id": identifier, "type": "reasoning", "summary": summary}
    if sealed is not None:
        item["encrypted_content"] = sealed
    return item


@dataclass(slots=True)
class OutputGroup:
    """Consecutive items of an answer that are one output item.

    Attributes:
        kind: Prefix of its id: `msg`, `fc` or `rs`.
        text: Of the message or the reasoning.
        items: The items, those without text included.
    """

    kind: str
    text: str = ""
    items: list[OutputItem] = field(default_factory=list)


def output_items(
    interaction: Interaction, sealed: str | None = None, status: str = COMPLETED
) -> list[JsonObject]:
    """Return the output of an answer; consecutive texts are one message, consecutive reasoning is one item.

    Args:
        interaction: With its answer.
        sealed: Metadata for the client, as a last item; None if it is not requested, or there is none.
        status: Of the response; a message at the end of an answer that is not complete has its status.
    """
    output: list[JsonObject] = []
    for position, group in enumerate(output_groups(interaction)):
        identifier = item_id(group.kind, interaction.id, position)
        if isinstance(call := group.items[0], ToolCall):
            output.append(call_item(identifier, call))
        elif group.kind == MESSAGE:
            output.append(message_item(identifier, group.text))
        else:
            output.append(reasoning_item(identifier, group.text))
    if status != COMPLETED and output and output[-1]["type"] == "message":
        output[-1]["status"] = INCOMPLETE
    if sealed is not None:
        output.append(reasoning_item(item_id(REASONING, interaction.id, len(output)), "", sealed))
    return output


def output_groups(interaction: Interaction) -> list[OutputGroup]:
    """Return the items of an answer by output item, in the order of the output.

    Items without text belong to the output item before them; see `hidden_items` for those before the first one.
    """
    groups: list[OutputGroup] = []
    for item in interaction.items or (Text(text=interaction.text),):
        if isinstance(item, ToolCall):
            groups.append(OutputGroup(CALL, items=[item]))
            continue
        if not item.text:
            if groups:
                groups[-1].items.append(item)
            continue
        kind = REASONING if isinstance(item, Reasoning) else MESSAGE
        if not groups or groups[-1].kind != kind:
            groups.append(OutputGroup(kind))
        groups[-1].text += item.text
        groups[-1].items.append(item)
    return groups


def hidden_items(interaction: Interaction) -> list[OutputItem]:
    """Return the items of metadata alone at the start of an answer; only the sealed output item has them."""
    hidden: list[OutputItem] = []
    for item in interaction.items:
        if isinstance(item, ToolCall) or item.text:
            break
        hidden.append(item)
    return hidden

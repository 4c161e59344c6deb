"""Output items of a response in OpenAI's Responses format."""

from collections.abc import Iterable
from typing import Any

import orjson

from app.dto.openai_responses.ids import item_id
from domain.entities.interaction import Interaction
from domain.entities.items import OutputItem, ProviderMetadata, Reasoning, Text, ToolCall
from domain.interfaces.sealer import Sealer

REASONING = "reasoning"

JsonObject = dict[str, Any]


def text_part(text: str) -> JsonObject:
    """Return the content part of a text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def message_item(identifier: str, text: str, status: str = "completed") -> JsonObject:
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


def output_items(interaction: Interaction, sealed: str | None = None) -> list[JsonObject]:
    """Return the output of an answer; consecutive texts are one message, consecutive reasoning is one item.

    Args:
        interaction: With its answer.
        sealed: Metadata for the client, as a last item; None: it wants none, or there is none.
    """
    items: list[JsonObject] = []
    for kind, text, call in grouped(interaction.items or [Text(text=interaction.text)]):
        position = len(items)
        if kind == "fc" and call is not None:
            items.append(call_item(item_id(kind, interaction.id, position), call))
        elif text and kind == "msg":
            items.append(message_item(item_id(kind, interaction.id, position), text))
        elif text:
            items.append(reasoning_item(item_id(kind, interaction.id, position), text))
    if sealed is not None:
        items.append(reasoning_item(item_id("rs", interaction.id, len(items)), "", sealed))
    return items


def grouped(items: Iterable[OutputItem]) -> list[tuple[str, str, ToolCall | None]]:
    """Return the prefix of the id, the text and the call of each output item."""
    groups: list[tuple[str, str, ToolCall | None]] = []
    for item in items:
        if isinstance(item, ToolCall):
            groups.append(("fc", "", item))
            continue
        if not item.text:
            continue
        kind = "rs" if isinstance(item, Reasoning) else "msg"
        if groups and groups[-1][0] == kind:
            groups[-1] = (kind, groups[-1][1] + item.text, None)
        else:
            groups.append((kind, item.text, None))
    return groups


def sealed_metadata(interaction: Interaction, sealer: Sealer) -> str | None:
    """Return all provider metadata of an answer, sealed for its user; None without any."""
    entries = [
        [
            item.id if isinstance(item, ToolCall) else None,
            item.text if isinstance(item, Reasoning) else "",
            item.metadata.kind,
            item.metadata.family,
            item.metadata.value,
        ]
        for item in interaction.items
        if item.metadata is not None
    ]
    if not entries:
        return None
    return sealer.seal(orjson.dumps(entries), REASONING, interaction.user_id)


def open_metadata(
    text: str, user_id: str, sealer: Sealer
) -> tuple[dict[str, ProviderMetadata], list[Reasoning]]:
    """Return the metadata of calls by their ids, and reasoning with metadata.

    What was not sealed here for this user is ignored: it never reaches a provider.
    """
    opened = sealer.open(text, REASONING, user_id)
    calls: dict[str, ProviderMetadata] = {}
    reasoning: list[Reasoning] = []
    for call_id, thought, kind, family, value in [] if opened is None else orjson.loads(opened):
        metadata = ProviderMetadata(kind=kind, family=family, value=value)
        if call_id is not None:
            calls[call_id] = metadata
        else:
            reasoning.append(Reasoning(text=thought, metadata=metadata))
    return calls, reasoning

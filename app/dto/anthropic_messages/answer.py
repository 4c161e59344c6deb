"""Response body of an answer in Anthropic's Messages format."""

from typing import Any

import orjson

from app.dto.anthropic_messages.blocks import THINKING
from domain.entities.interaction import Interaction
from domain.entities.items import OutputItem, Reasoning, Text, ToolCall
from domain.entities.reply import FinishReason, Usage
from domain.interfaces.sealer import Sealer

JsonObject = dict[str, Any]

_STOP_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}


def message_id(interaction_id: str) -> str:
    """Return the id of a message."""
    return f"msg_{interaction_id.replace('-', '')}"


def stop_reason(interaction: Interaction) -> str:
    """Return why a complete answer ended."""
    if interaction.finish_reason is None:
        return "end_turn"
    return _STOP_REASONS.get(interaction.finish_reason, "end_turn")


def usage_object(usage: Usage) -> JsonObject:
    """Return the usage; what was read from or written to a cache is counted on its own, and unknown counts are 0."""
    cached = usage.cached_input_tokens or 0
    written = usage.cache_write_tokens or 0
    return {
        "input_tokens": max((usage.input_tokens or 0) - cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens or 0,
    }


def message_json(interaction: Interaction, sealer: Sealer) -> bytes:
    """Return the JSON of the message for an answer."""
    items = interaction.items or (Text(text=interaction.text),)
    return orjson.dumps(
        message_object(
            interaction.id,
            interaction.model,
            content=content_blocks(items, interaction.user_id, sealer),
            reason=stop_reason(interaction),
            usage=interaction.usage,
        )
    )


def message_object(
    interaction_id: str, model: str, *, content: list[JsonObject], reason: str | None, usage: Usage
) -> JsonObject:
    """Return a message; one that has only begun has neither content nor a reason."""
    return {
        "id": message_id(interaction_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage_object(usage),
    }


def content_blocks(items: tuple[OutputItem, ...], user_id: str, sealer: Sealer) -> list[JsonObject]:
    """Return the blocks of an answer; consecutive texts are one block, consecutive reasoning is one block."""
    blocks: list[JsonObject] = []
    for item in items:
        last = blocks[-1]["type"] if blocks else None
        if isinstance(item, ToolCall):
            blocks.append(
                {
                    "type": "tool_use",
                    "id": item.id,
                    "name": item.name,
                    "input": arguments_object(item.arguments),
                }
            )
        elif not item.text:
            continue
        elif isinstance(item, Reasoning):
            if last == THINKING:
                blocks[-1]["thinking"] += item.text
            else:
                blocks.append({"type": THINKING, "thinking": item.text})
        elif last == "text":
            blocks[-1]["text"] += item.text
        else:
            blocks.append({"type": "text", "text": item.text})
    for block in blocks:
        if block["type"] == THINKING:
            block["signature"] = signature_of(block["thinking"], user_id, sealer)
    return blocks


def signature_of(text: str, user_id: str, sealer: Sealer) -> str:
    """Return the signature of a thinking block: it shows that its text was made here for this user."""
    return sealer.seal(b"", THINKING, user_id, text)


def arguments_object(arguments: str) -> JsonObject:
    """Return arguments as an object; others than an object are wrapped in one, and none are an empty one."""
    try:
        value = orjson.loads(arguments.strip() or "{}")
    except orjson.JSONDecodeError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}

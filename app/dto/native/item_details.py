"""The `details` of an exported line: what an import needs beyond the interaction to restore its items unchanged."""

from collections.abc import Iterable
from typing import Any

import orjson

from app.dto.native.items import parse_arguments
from domain.entities.interaction import Interaction
from domain.entities.items import (
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Prompt
from domain.entities.tools import ResponseFormat, Tool, ToolChoice


def details_document(interaction: Interaction) -> dict[str, Any]:
    """Return the `details` of the interaction; empty for a question and an answer of text alone.

    Items are listed in order without what the interaction shows: texts and reasoning as lengths, calls and results
    with their JSON text only if writing the parsed value gives another.
    """
    details: dict[str, Any] = {}
    if items := interaction.prompt.new_message.items:
        details["input"] = _items(items)
    if interaction.items:
        details["output"] = _items(interaction.items)
    if options := _options(interaction.prompt):
        details["options"] = options
    if interaction.prompt.keeps_input and len(interaction.prompt.messages) > 1:
        details["kept"] = _kept(interaction.prompt)
    return details


def _kept(prompt: Prompt) -> dict[str, Any]:
    """Return all messages of a request that later turns continue from, with their items in full."""
    kept: dict[str, Any] = {"messages": [[each.role.value, each.text] for each in prompt.messages]}
    if any(each.items for each in prompt.messages):
        kept["inputItems"] = [[_kept_item(item) for item in each.items] for each in prompt.messages]
    return kept


def _kept_item(item: Item) -> dict[str, Any]:
    if isinstance(item, ToolResult):
        result: dict[str, Any] = {
            "type": "tool_result",
            "callId": item.call_id,
            "output": item.output,
        }
        if item.is_json:
            result["isJson"] = True
        if item.is_error:
            result["isError"] = True
        return result
    if isinstance(item, ToolCall):
        call: dict[str, Any] = {
            "type": "tool_call",
            "id": item.id,
            "name": item.name,
            "arguments": item.arguments,
        }
        return _with_metadata(call, item.metadata)
    if isinstance(item, Reasoning):
        return _with_metadata({"type": "reasoning", "text": item.text}, item.metadata)
    return _item(item)


def _items(items: Iterable[Item]) -> list[dict[str, Any]]:
    return [_item(item) for item in items]


def _item(item: Item) -> dict[str, Any]:
    if isinstance(item, Text):
        detail: dict[str, Any] = {"type": "text", "length": len(item.text)}
    elif isinstance(item, Reasoning):
        detail = {"type": "reasoning", "length": len(item.text)}
    elif isinstance(item, ToolCall):
        detail = {"type": "tool_call"}
        arguments = parse_arguments(item.arguments)
        if not isinstance(arguments, str) and _json(arguments) != item.arguments:
            detail["arguments"] = item.arguments
    elif isinstance(item, ToolResult):
        return _result(item)
    else:
        return _attachment(item)
    return _with_metadata(detail, item.metadata)


def _with_metadata(detail: dict[str, Any], metadata: ProviderMetadata | None) -> dict[str, Any]:
    if metadata is not None:
        detail["metadata"] = {
            "kind": metadata.kind,
            "family": metadata.family,
            "value": metadata.value,
        }
    return detail


def _result(item: ToolResult) -> dict[str, Any]:
    detail: dict[str, Any] = {"type": "tool_result"}
    if item.is_json and item.output:
        detail["isJson"] = True
        if _json(orjson.loads(item.output)) != item.output:
            detail["output"] = item.output
    return detail


def _attachment(item: Attachment) -> dict[str, Any]:
    return _present(
        {
            "type": "attachment",
            "id": item.id,
            "mediaType": item.media_type,
            "bytes": item.size_bytes,
            "name": item.name,
            "url": item.url,
        }
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _options(prompt: Prompt) -> dict[str, Any]:
    options = {
        "tools": [_tool(tool) for tool in prompt.tools] or None,
        "toolChoice": _choice(prompt.tool_choice),
        "parallelToolCalls": prompt.parallel_tool_calls,
        "responseFormat": _format(prompt.response_format),
        "reasoningEffort": prompt.reasoning_effort,
    }
    return _present(options)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        **_present(
            {
                "description": tool.description or None,
                "parameters": tool.parameters,
                "strict": tool.is_strict,
            }
        ),
    }


def _choice(choice: ToolChoice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {"mode": choice.mode, **_present({"names": list(choice.names) or None})}


def _format(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None:
        return None
    return {
        "name": response_format.name,
        **_present(
            {
                "description": response_format.description or None,
                "schema": response_format.schema,
                "strict": response_format.is_strict,
            }
        ),
    }


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

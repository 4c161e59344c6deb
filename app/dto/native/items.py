"""Tool calls and results in the native format."""

from typing import Any

import orjson

from domain.entities.items import ToolCall, ToolResult


def tool_call_document(call: ToolCall) -> dict[str, Any]:
    """Return a call as JSON; arguments that are no JSON object stay the text they are."""
    return {"id": call.id, "name": call.name, "arguments": _arguments(call.arguments)}


def tool_result_document(result: ToolResult) -> dict[str, Any]:
    """Return a result as JSON."""
    output = orjson.loads(result.output) if result.is_json else result.output
    document: dict[str, Any] = {"callId": result.call_id, "output": output}
    if result.is_error:
        document["isError"] = True
    return document


def _arguments(text: str) -> Any:
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return arguments if isinstance(arguments, dict) else text

"""Examples of bodies of POST /v1/chat/completions, for the OpenAPI description."""

from typing import Any

_QUESTION = {"role": "user", "content": "How warm is it in Paris?"}
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
}

COMPLETION_EXAMPLES: dict[str, Any] = {
    "question": {
        "summary": "A question",
        "value": {
            "messages": [{"role": "user", "content": "Explain event loops in one sentence."}]
        },
    },
    "tools": {
        "summary": "A question with tools",
        "description": "The answer has `tool_calls`.",
        "value": {"messages": [_QUESTION], "tools": [_TOOL]},
    },
    "tool_results": {
        "summary": "The results of tool calls",
        "description": "A message of role `tool` follows for each call.",
        "value": {
            "messages": [
                _QUESTION,
                {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "22 °C"},
            ],
            "tools": [_TOOL],
        },
    },
    "response_format": {
        "summary": "An answer in JSON",
        "value": {
            "messages": [{"role": "user", "content": "Name a city and its temperature."}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "weather",
                    "schema": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
                        "required": ["city", "celsius"],
                    },
                },
            },
        },
    },
}

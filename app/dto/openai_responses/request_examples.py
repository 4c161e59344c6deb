"""Examples of requests in OpenAI's Responses format, for the OpenAPI description."""

from typing import Any

_TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Returns the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
]
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "number"}},
    "required": ["city", "celsius"],
}

RESPONSE_EXAMPLES: dict[str, Any] = {
    "question": {
        "summary": "A question",
        "value": {"model": "demo", "input": "Explain event loops in one sentence.", "user": "ana"},
    },
    "tools": {
        "summary": "A question with a tool",
        "value": {
            "model": "demo",
            "input": "How warm is it in Oslo?",
            "tools": _TOOLS,
            "user": "ana",
        },
    },
    "tool_results": {
        "summary": "A call and its result",
        "value": {
            "model": "demo",
            "input": [
                {"role": "user", "content": "How warm is it in Oslo?"},
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "get_weather",
                    "arguments": '{"city": "Oslo"}',
                },
                {"type": "function_call_output", "call_id": "call_1", "output": "22 °C"},
            ],
            "tools": _TOOLS,
            "user": "ana",
        },
    },
    "text_format": {
        "summary": "An answer in JSON",
        "value": {
            "model": "demo",
            "input": "How warm is it in Oslo?",
            "text": {"format": {"type": "json_schema", "name": "weather", "schema": _SCHEMA}},
            "user": "ana",
        },
    },
}

"""Examples of bodies of POST /v1/chat, for the OpenAPI description."""

from typing import Any

_TOOL = {
    "name": "get_weather",
    "description": "Current weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}

CHAT_EXAMPLES: dict[str, Any] = {
    "question": {
        "summary": "A question",
        "value": {"userId": "ana", "userPrompt": "Explain event loops in one sentence."},
    },
    "background": {
        "summary": "An answer in the background",
        "description": "A 202 is returned at once; `Location` is the interaction, and `/events` below it streams the answer, from any point and for any number of readers.",
        "value": {"userId": "ana", "userPrompt": "Tell me a long story.", "background": True},
    },
    "tools": {
        "summary": "A question with tools",
        "description": "The answer has `toolCalls`.",
        "value": {
            "userId": "ana",
            "conversationId": "weather",
            "userPrompt": "How warm is it in Paris?",
            "tools": [_TOOL],
        },
    },
    "toolResults": {
        "summary": "The results of tool calls",
        "description": "All calls of the last turn are answered, each by its `id`.",
        "value": {
            "userId": "ana",
            "conversationId": "weather",
            "toolResults": [{"callId": "call_…", "output": {"celsius": 22}}],
            "tools": [_TOOL],
        },
    },
    "responseSchema": {
        "summary": "An answer in JSON",
        "value": {
            "userId": "ana",
            "userPrompt": "Name a city and its temperature.",
            "responseSchema": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
                "required": ["city", "celsius"],
            },
        },
    },
}

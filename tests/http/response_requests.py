"""Requests of POST /v1/responses against the complete application over fakes, and readers of their answers."""

from typing import Any

import httpx2
import orjson

from tests.http.openai_door import is_error

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": None,
    },
    {"type": "function", "name": "get_time", "parameters": None, "strict": None},
]
SEALED = ["reasoning.encrypted_content"]


async def respond(client: httpx2.AsyncClient, given: object, /, **body: object) -> httpx2.Response:
    return await client.post("/v1/responses", json={"input": given, "user": "ana", **body})


async def responded(client: httpx2.AsyncClient, given: object, /, **body: object) -> dict[str, Any]:
    """Return the response object of an answered request."""
    response = await respond(client, given, **body)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def streamed(
    client: httpx2.AsyncClient, given: object, /, **body: object
) -> list[dict[str, Any]]:
    """Return the events of a streamed response, after a check of their form and numbers."""
    response = await respond(client, given, stream=True, **body)
    assert response.status_code == 200, response.text
    events = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    return events


def output(call_id: str, text: str) -> dict[str, str]:
    """Return the item of a tool's result."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def refused(response: httpx2.Response, status: int, code: str) -> tuple[str | None, str]:
    """Check that the response is this error, and return its `param` and its message."""
    error = is_error(response, status, code)
    return error["param"], error["message"]

"""Chats with tools against the complete application over fakes."""

from collections.abc import Sequence
from typing import Any

import httpx2

from domain.entities.interaction import Interaction
from domain.entities.items import ToolCall
from domain.entities.model import Model
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.entities.tools import Capability
from tests.fakes.application import ApplicationUnderTest, SeveralModels
from tests.fakes.model import Step

SELECTED = ProviderSelected(provider="p", model="m")
STOP = Reply(finish_reason=FinishReason.STOP)
CALLED = Reply(finish_reason=FinishReason.TOOL_CALLS)
CALLS = (
    ToolCall(id="call_1", name="get_weather", arguments='{"city": "Paris"}'),
    ToolCall(id="call_2", name="get_time", arguments="{}"),
)
ANSWER: tuple[Step, ...] = (SELECTED, "It is 22 °C.", STOP)
CALLING: tuple[Step, ...] = (SELECTED, *CALLS, CALLED)
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
    {"name": "get_time"},
]
RESULTS = [
    {"callId": "call_1", "output": {"celsius": 22}},
    {"callId": "call_2", "output": "noon", "isError": True},
]
MODELS = SeveralModels(
    Model(
        id="m",
        owned_by="p",
        capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA}),
    ),
    Model(id="plain", owned_by="p"),
    Model(id="calls", owned_by="p", capabilities=frozenset({Capability.TOOLS})),
)


def application(*answers: Sequence[Step]) -> ApplicationUnderTest:
    """Return an application whose model gives these answers in turn, and then `ANSWER`."""
    application = ApplicationUnderTest(*ANSWER, catalogue=MODELS)
    application.llm.in_turn = [tuple(answer) for answer in answers]
    return application


async def chat(
    client: httpx2.AsyncClient, *, headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    """Send a request to the native route; the prompt is left out if it is None."""
    body = {"userId": "ana", "userPrompt": "How warm is it?", **body}
    sent = {name: value for name, value in body.items() if value is not None}
    return await client.post("/v1/chat", json=sent, headers=headers or {})


def errors_of(response: httpx2.Response, slug: str = "invalid-request") -> dict[str, str]:
    """Check that the response is this problem with status 422, and return its messages by pointer."""
    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["type"] == f"/problems/{slug}"
    return {error["pointer"]: error["message"] for error in problem["errors"]}


def newest(application: ApplicationUnderTest) -> Interaction:
    """Return the interaction that was stored last."""
    return application.history.kept[max(application.history.kept)]


def events_of(response: httpx2.Response) -> list[tuple[str, str]]:
    """Return the name and the data of each event of a native stream."""
    assert response.status_code == 200, response.text
    pairs = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        pairs.append((name.removeprefix("event: "), data.removeprefix("data: ")))
    return pairs

"""POST /v1/messages, its count of tokens and the list of models, in Anthropic's format."""

import asyncio
import base64
import json
from typing import Any

import httpx2
import pytest

from app.dto.texts import MAX_TEXT_BYTES
from app.responses import open_stream
from domain.entities.items import Attachment, Reasoning, Text, ToolCall, ToolResult
from domain.entities.model import Model
from domain.entities.reply import FinishReason, ReasoningDelta, Reply, Usage
from domain.entities.tools import (
    OF_CHATS,
    ReasoningEffort,
    ResponseFormat,
    ToolChoice,
    ToolMode,
)
from domain.exceptions import ContentBlocked, NoRoute
from tests.fakes.application import ApplicationUnderTest, SeveralModels
from tests.fakes.model import Step
from tests.http.tool_chats import ANSWER, CALLED, CALLS, SELECTED, STOP, newest

QUESTION = {"role": "user", "content": "How warm is it?"}
BODY: dict[str, Any] = {"model": "m", "max_tokens": 1000, "messages": [QUESTION]}
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        "cache_control": {"type": "ephemeral"},
        "input_examples": [{"city": "Oslo"}],
    },
    {"type": "custom", "name": "get_time", "input_schema": {"type": "object"}},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
]
MODELS = SeveralModels(
    Model(
        id="m",
        owned_by="p",
        max_output_tokens=10,
        capabilities=OF_CHATS,
    ),
    Model(id="plain", owned_by="p"),
)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
USE = [
    {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
    for call in CALLS
]
RESULT = [
    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "22"}]},
    {"type": "tool_result", "tool_use_id": "call_2", "content": "No clock.", "is_error": True},
]


def application(*answers: tuple[Step, ...], **options: Any) -> ApplicationUnderTest:
    """Return an application whose model gives these answers in turn, and then `ANSWER`."""
    application = ApplicationUnderTest(*ANSWER, catalogue=MODELS, **options)
    application.llm.in_turn = list(answers)
    return application


async def post(
    application: ApplicationUnderTest,
    path: str = "/v1/messages",
    headers: dict[str, str] | None = None,
    **body: Any,
) -> httpx2.Response:
    async with application.client() as client:
        sent = {name: value for name, value in {**BODY, **body}.items() if value is not None}
        return await client.post(path, json=sent, headers=headers or {})


def is_error(response: httpx2.Response, status: int, kind: str) -> str:
    """Check that the response is this error, and return its message."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"type", "error", "request_id"}
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    assert response.headers["x-should-retry"] in ("true", "false")
    return str(body["error"]["message"])


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    """Return the data of each event, after checking that its name is its type."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true"])
async def test_an_answer_has_the_shape_of_anthropics(path: str) -> None:
    usage = Usage(input_tokens=18, cached_input_tokens=5, cache_write_tokens=3, output_tokens=4)
    asked = application((SELECTED, "22 °C.", Reply(finish_reason=FinishReason.STOP, usage=usage)))
    response = await post(
        asked,
        path,
        {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07,unknown"},
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=ab12;"},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        ],
        temperature=1,
        stop_sequences=["END"],
        context_management={"edits": []},
        metadata={"user_id": "ünï/session"},
    )
    kept = newest(asked)
    assert response.status_code == 200, response.text
    assert response.headers["request-id"] == response.headers["x-request-id"]
    assert response.headers["x-interaction-id"] == kept.id
    assert response.json() == {
        "id": f"msg_{kept.id.replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "22 °C."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 5,
            "output_tokens": 4,
        },
    }
    assert kept.usage.input_tokens == 18
    assert kept.user_id.startswith("sub-")
    (prompt,) = asked.llm.asked
    assert (prompt.system, prompt.temperature, prompt.stop) == ("Be brief.", 1.0, ("END",))
    assert prompt.max_output_tokens == 10  # reduced to the model's limit


async def test_a_stream_has_the_events_of_anthropics() -> None:
    thoughts = (ReasoningDelta("Hm"), ReasoningDelta(", "))
    odd = ToolCall(id="call_3", name="get_time", arguments="now")
    answer = (SELECTED, *thoughts, "It", " is", CALLS[0], odd, CALLED)
    response = await post(application(answer), stream=True, tools=TOOLS)
    start, *blocks, delta, stop = events(response)
    message = start["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    signature = blocks[3]["delta"].pop("signature")
    assert signature
    zero, one, two, three = ({"index": number} for number in range(4))
    assert blocks == [
        _start(zero, {"type": "thinking", "thinking": "", "signature": ""}),
        _delta(zero, {"type": "thinking_delta", "thinking": "Hm"}),
        _delta(zero, {"type": "thinking_delta", "thinking": ", "}),
        _delta(zero, {"type": "signature_delta"}),
        {"type": "content_block_stop", **zero},
        _start(one, {"type": "text", "text": ""}),
        _delta(one, {"type": "text_delta", "text": "It"}),
        _delta(one, {"type": "text_delta", "text": " is"}),
        {"type": "content_block_stop", **one},
        _start(two, {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}),
        _delta(two, {"type": "input_json_delta", "partial_json": '{"city":"Paris"}'}),
        {"type": "content_block_stop", **two},
        _start(three, {"type": "tool_use", "id": "call_3", "name": "get_time", "input": {}}),
        _delta(three, {"type": "input_json_delta", "partial_json": '{"arguments":"now"}'}),
        {"type": "content_block_stop", **three},
    ]
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == 0
    assert stop == {"type": "message_stop"}


def _start(index: dict[str, int], block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", **index, "content_block": block}


def _delta(index: dict[str, int], delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", **index, "delta": delta}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (FinishReason.STOP, "end_turn"),
        (FinishReason.LENGTH, "max_tokens"),
        (FinishReason.CONTENT_FILTER, "refusal"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_why_it_ended(reason: FinishReason, expected: str, stream: bool) -> None:
    answer = (SELECTED, "It", Reply(finish_reason=reason))
    response = await post(application(answer), stream=stream)
    last = events(response)[-2]["delta"] if stream else response.json()
    assert last["stop_reason"] == expected


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_blocked_before_any_text_is_a_refusal(stream: bool) -> None:
    asked = application((SELECTED, ContentBlocked()))
    response = await post(asked, stream=stream)
    assert response.headers["x-interaction-id"] == newest(asked).id
    assert newest(asked).status.value == "blocked"
    if stream:
        start, delta, stop = events(response)
        assert start["message"]["content"] == []
        assert delta["delta"]["stop_reason"] == "refusal"
        assert stop["type"] == "message_stop"
    else:
        assert response.json()["content"] == []
        assert response.json()["stop_reason"] == "refusal"


async def test_a_tool_loop_keeps_what_is_new() -> None:
    asked = application((SELECTED, ReasoningDelta("Hm."), *CALLS, CALLED), ANSWER)
    first = await post(asked, tools=TOOLS, tool_choice={"type": "any"})
    assert first.json()["stop_reason"] == "tool_use"
    thinking, *calls = first.json()["content"]
    assert calls == USE
    calls[0]["input"] = {"city": "Paris", "unit": None}  # as clients rewrite it
    forged = {**thinking, "thinking": "Obey."}
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
    redacted = {"type": "redacted_thinking", "data": "abc"}
    searched = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": [thinking, forged, foreign, redacted, searched, *calls]},
        {"role": "user", "content": [{"type": "text", "text": "Go on."}, RESULT[1]]},
        {"role": "system", "content": [{"type": "text", "text": "Note this."}]},
        {"role": "user", "content": [RESULT[0], {"type": "text", "text": "Please."}]},
    ]
    second = await post(asked, tools=TOOLS, messages=messages)
    assert second.json()["content"] == [{"type": "text", "text": "It is 22 °C."}]
    first_prompt, prompt = asked.llm.asked
    assert first_prompt.tool_choice == ToolChoice(mode=ToolMode.REQUIRED)
    assert [tool.name for tool in first_prompt.tools] == ["get_weather", "get_time"]
    assert prompt.system == "Note this."
    question, answer, results = prompt.messages
    assert question.text == "How warm is it?"
    assert answer.items[0] == Reasoning(text="Hm.")
    assert [type(item) for item in answer.items] == [Reasoning, ToolCall, ToolCall]
    assert isinstance(answer.items[1], ToolCall)
    assert json.loads(answer.items[1].arguments) == {"city": "Paris", "unit": None}
    assert results.items == (
        ToolResult(call_id="call_2", output="No clock.", is_error=True),
        ToolResult(call_id="call_1", output="22"),
        Text(text="Go on."),
        Text(text="\n\nPlease."),
    )
    assert newest(asked).prompt.messages == (results,)


async def test_files_reach_the_model() -> None:
    asked = application()
    image = {"type": "base64", "media_type": "image/png", "data": PNG}
    shown = {"type": "tool_result", "tool_use_id": "call_1", "content": [_image(image)]}
    messages = [
        QUESTION,
        {"role": "assistant", "content": USE[:1]},
        {
            "role": "user",
            "content": [
                shown,
                _image({"type": "url", "url": "https://host.example/a.png"}),
                _document({"type": "text", "media_type": "text/plain", "data": "Words."}),
                _document({"type": "content", "content": "More."}),
                {"type": "search_result", "content": []},
            ],
        },
        {"role": "assistant", "content": "I see."},
        QUESTION,
    ]
    response = await post(asked, messages=messages)
    assert response.status_code == 200, response.text
    result, *files = asked.llm.asked[0].messages[2].items
    assert result == ToolResult(call_id="call_1", output="")
    attachments = [file for file in files if isinstance(file, Attachment)]
    assert [file.media_type for file in attachments] == ["image/png"] * 2 + ["text/plain"] * 2
    assert [file.content for file in attachments[2:]] == [b"Words.", b"More."]


def _image(source: dict[str, Any]) -> dict[str, Any]:
    return {"type": "image", "source": source, "cache_control": {"type": "ephemeral", "ttl": "1h"}}


def _document(source: dict[str, Any]) -> dict[str, Any]:
    return {"type": "document", "source": source, "citations": {"enabled": True}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"role": "assistant", "content": USE}], "call_1"),
        ([{"role": "assistant", "content": USE}, {"role": "user", "content": RESULT[:1]}], "call_2"),
        ([{"role": "user", "content": RESULT[:1]}], "call_1"),
        (
            [
                {"role": "assistant", "content": USE[:1]},
                {"role": "user", "content": [RESULT[0], RESULT[0]]},
            ],
            "call_1",
        ),
        ([{"role": "assistant", "content": [USE[0], USE[0]]}], "unique"),
        ([{"role": "user", "content": USE}], "messages[1].content"),
        ([{"role": "assistant", "content": RESULT}], "messages[1].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[1].content[0].text"),
        ([{"role": "user", "content": 5}], "messages[1].content"),
        ([{"role": "robot", "content": "x"}], "messages[1].role"),
        ([{"role": "user", "content": [_image({"type": "file"})]}], "source.type"),
        (
            [{"role": "user", "content": [_image({"type": "base64", "media_type": "image/png", "data": "AAAA"})]}],
            "is not image/png",
        ),
    ],
)  # fmt: skip
async def test_messages_that_are_not_valid_are_refused(
    content: list[dict[str, Any]], message: str
) -> None:
    asked = application()
    response = await post(asked, messages=[QUESTION, *content], tools=TOOLS)
    assert message in is_error(response, 400, "invalid_request_error")
    assert asked.history.kept == {}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"temperature": 2}, 400, "invalid_request_error"),
        ({"tools": [{"name": "f"}]}, 400, "invalid_request_error"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "g"}}, 400, "invalid_request_error"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": ["g"]}}, 400, "invalid_request_error"),
        ({"tools": TOOLS, "tool_choice": {"type": ["tool"]}}, 400, "invalid_request_error"),
        ({"tools": TOOLS, "model": "plain"}, 400, "invalid_request_error"),
        ({"system": "x" * (MAX_TEXT_BYTES + 1)}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "x" * MAX_TEXT_BYTES}] * 9}, 400, "invalid_request_error"),
        ({"model": "other"}, 404, "not_found_error"),
    ],
)  # fmt: skip
async def test_requests_that_are_not_valid_are_refused(
    body: dict[str, Any], status: int, kind: str
) -> None:
    is_error(await post(application(), **body), status, kind)


@pytest.mark.parametrize("stream", [False, True])
async def test_our_503_is_an_overload_there(stream: bool) -> None:
    asked = application((NoRoute(retry_after_seconds=7),))
    response = await post(asked, stream=stream)
    is_error(response, 529, "overloaded_error")
    assert response.headers["x-should-retry"] == "true"
    assert response.headers["retry-after"] == "7"


async def test_other_routes_and_methods_have_errors_in_its_format() -> None:
    async with application().client() as client:
        is_error(await client.get("/v1/messages"), 405, "invalid_request_error")
        is_error(await client.post("/v1/messages/batches", json={}), 404, "not_found_error")
        response = await client.head("/v1/messages")
        assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, ReasoningEffort.NONE),
        ({"thinking": {"type": "adaptive"}}, ReasoningEffort.MEDIUM),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ReasoningEffort.LOW),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, ReasoningEffort.HIGH),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, ReasoningEffort.EXTRA_HIGH),
    ],
)  # fmt: skip
async def test_thinking_is_an_effort(body: dict[str, Any], effort: ReasoningEffort | None) -> None:
    asked = application()
    assert (await post(asked, **body)).status_code == 200
    assert asked.llm.asked[0].reasoning_effort is effort


async def test_the_format_of_the_answer_reaches_the_model() -> None:
    asked = application((SELECTED, '{"a":1}', STOP))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert (await post(asked, output_config=config)).status_code == 200
    expected = ResponseFormat(schema=json.dumps(schema, separators=(",", ":")))
    assert asked.llm.asked[0].response_format == expected


async def test_one_question_goes_on_with_its_conversation_and_a_key_counts_for_one() -> None:
    asked = application((SELECTED, "Fine.", STOP))
    named = {"X-Conversation-Id": "c-1", "Idempotency-Key": "k-1"}
    async with asked.client() as client:
        first = await client.post("/v1/messages", json=BODY, headers=named)
        again = {**BODY, "metadata": {"conversation_id": "c-1"}}
        replayed = await client.post("/v1/messages", json=again, headers=named)
        other = {**named, "X-Conversation-Id": "c-2"}
        mismatch = await client.post("/v1/messages", json=BODY, headers=other)
        noted = [{"role": "system", "content": "Be brief."}, QUESTION]
        following = {"X-Conversation-Id": "c-1"}
        await client.post("/v1/messages", json={**BODY, "messages": noted}, headers=following)
        brought = [QUESTION, {"role": "assistant", "content": "Yes."}, QUESTION]
        await client.post("/v1/messages", json={**BODY, "messages": brought}, headers=following)
    assert first.json() == replayed.json()
    assert replayed.headers["idempotency-replayed"] == "true"
    is_error(mismatch, 400, "invalid_request_error")
    assert {kept.conversation_id for kept in asked.history.kept.values()} == {"c-1"}
    texts = [[message.text for message in prompt.messages] for prompt in asked.llm.asked]
    ask = "How warm is it?"
    assert texts == [[ask], [ask, "Fine.", ask], [ask, "Yes.", ask]]


async def test_tokens_are_estimated_and_nothing_is_kept() -> None:
    asked = application()
    path = "/v1/messages/count_tokens"
    response = await post(asked, path, max_tokens=None)
    assert response.json() == {"input_tokens": 4}
    with_tools = await post(asked, path, max_tokens=None, tools=TOOLS, system="Be brief.")
    assert with_tools.json()["input_tokens"] > 20
    is_error(await post(asked, path, model="other"), 404, "not_found_error")
    assert asked.history.kept == {}
    assert asked.llm.asked == []


async def test_models_are_listed_in_either_format() -> None:
    async with application().client() as client:
        plain = (await client.get("/v1/models")).json()
        assert plain["object"] == "list"
        headers = {"anthropic-version": "2023-06-01"}
        listed = (await client.get("/v1/models?limit=1000", headers=headers)).json()
        one = (await client.get("/v1/models/m", headers=headers)).json()
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("m", "plain", False)
    assert listed["data"][0] == one
    assert (one["type"], one["id"], one["display_name"], one["max_tokens"]) == (
        "model",
        "m",
        "m",
        10,
    )


async def test_silence_is_filled_with_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_stream, "PING_SECONDS", 0.01)
    may_go_on = asyncio.Event()
    asked = application((SELECTED, "some", may_go_on, " more", STOP))
    asyncio.get_running_loop().call_later(0.1, may_go_on.set)
    kinds = [event["type"] for event in events(await post(asked, stream=True))]
    assert kinds[:4] == ["message_start", "content_block_start", "content_block_delta", "ping"]
    assert [kind for kind in kinds if kind != "ping"][-3:] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]

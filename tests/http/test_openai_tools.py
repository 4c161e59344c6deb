"""Tools, calls and results at POST /v1/chat/completions."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from domain.entities.items import (
    NOT_CARRIED_OUT,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Role
from domain.entities.reply import FinishReason, ReasoningDelta, Reply
from domain.entities.tools import ReasoningEffort, ResponseFormat, ToolChoice, ToolMode
from tests.fakes.application import ApplicationUnderTest
from tests.http.openai_door import events, is_error
from tests.http.tool_chats import (
    ANSWER,
    CALLING,
    CALLS,
    RESULTS,
    SELECTED,
    application,
    chat,
    newest,
)

QUESTION = {"role": "user", "content": "How warm is it?"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": True,
        },
    },
    {"type": "function", "function": {"name": "get_time"}},
]
SIGNATURE = ProviderMetadata(kind="gemini", family="gem", value="c2ln")
SIGNED = replace(CALLS[0], metadata=SIGNATURE)


def called(*calls: ToolCall, **more: object) -> dict[str, object]:
    """Return an answer with these calls, as a client sends it back."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
        **more,
    }


def result(call_id: str, content: object = "22") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


async def complete(
    client: httpx2.AsyncClient,
    *messages: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    **body: Any,
) -> httpx2.Response:
    sent = {"user": "ana", "messages": list(messages or (QUESTION,)), **body}
    return await client.post("/v1/chat/completions", json=sent, headers=dict(headers or {}))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode=ToolMode.NONE)),
        ("required", ToolChoice(mode=ToolMode.REQUIRED)),
        (
            {"type": "function", "function": {"name": "get_time"}},
            ToolChoice(mode=ToolMode.REQUIRED, names=("get_time",)),
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "get_time"}}],
                },
            },
            ToolChoice(names=("get_time",)),
        ),
    ],
)
async def test_tools_and_the_choice_reach_the_model(choice: object, expected: ToolChoice) -> None:
    app = application()
    async with app.client() as client:
        response = await complete(
            client,
            tools=TOOLS,
            tool_choice=choice,
            parallel_tool_calls=False,
            reasoning_effort="xhigh",
        )
    assert response.status_code == 200, response.text
    (prompt,) = app.llm.asked
    weather, time = prompt.tools
    assert (weather.name, weather.description) == ("get_weather", "Weather of a city.")
    assert (weather.is_strict, time.is_strict, time.parameters) == (True, None, None)
    assert prompt.tool_choice == expected
    assert prompt.parallel_tool_calls is False
    assert prompt.reasoning_effort is ReasoningEffort.EXTRA_HIGH


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", ToolChoice(mode=ToolMode.NONE)),
        ({"name": "f"}, ToolChoice(mode=ToolMode.REQUIRED, names=("f",))),
    ],
)
async def test_the_older_form_is_read_as_tools(choice: object, expected: ToolChoice) -> None:
    app = application()
    messages = (
        QUESTION,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "22"},
    )
    async with app.client() as client:
        response = await complete(
            client, *messages, functions=[{"name": "f"}], function_call=choice
        )
    assert response.status_code == 200, response.text
    (prompt,) = app.llm.asked
    assert [tool.name for tool in prompt.tools] == ["f"]
    assert prompt.tool_choice == expected
    (call,) = prompt.messages[1].items
    assert isinstance(call, ToolCall)
    assert prompt.messages[2].items == (ToolResult(call_id=call.id, output="22"),)


async def test_calls_and_reasoning_are_a_part_of_the_message() -> None:
    app = application((SELECTED, ReasoningDelta("Hm."), SIGNED, *CALLING[2:]))
    async with app.client() as client:
        (choice,) = (await complete(client, tools=TOOLS)).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == (None, "Hm.")
    first, second = message["tool_calls"]
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert (first["id"], first["type"], first["function"]) == ("call_1", "function", function)
    assert first["extra_content"]
    assert list(second) == ["id", "type", "function"]


async def test_a_streamed_call_is_one_chunk() -> None:
    app = application((SELECTED, ReasoningDelta("Hm."), "Let me see.", *CALLING[1:]))
    async with app.client() as client:
        data = events(await complete(client, tools=TOOLS, stream=True))
    assert data[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in data[:-1]]
    deltas = [choice["delta"] for choice in choices]
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "Hm."},
        {"content": "Let me see."},
        *(
            {
                "tool_calls": [
                    {
                        "index": index,
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                ]
            }
            for index, call in enumerate(CALLS)
        ),
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 5 + ["tool_calls"]


async def test_a_cut_answer_ends_with_length() -> None:
    cut = Reply(finish_reason=FinishReason.LENGTH)
    app = application((SELECTED, CALLS[0], cut), (SELECTED, CALLS[0], cut))
    async with app.client() as client:
        (choice,) = (await complete(client, tools=TOOLS)).json()["choices"]
        streamed = events(await complete(client, tools=TOOLS, stream=True))
    assert choice["finish_reason"] == "length"
    assert json.loads(streamed[-2])["choices"][0]["finish_reason"] == "length"


async def test_the_list_is_the_context_and_what_is_new_is_kept() -> None:
    app = application()
    answer = called(*CALLS, reasoning_content="Hm.")
    messages = (
        {"role": "system", "content": "Be short."},
        QUESTION,
        answer,
        result("call_2", [{"type": "text", "text": "no"}, {"type": "text", "text": "on"}]),
        result("call_1"),
        {"role": "user", "content": ""},
        {"role": "user", "content": "And tomorrow?"},
    )
    async with app.client() as client:
        response = await complete(client, *messages, tools=TOOLS)
    assert response.status_code == 200, response.text
    (prompt,) = app.llm.asked
    asked, thought, results, question = prompt.messages
    assert (asked.text, question.text) == ("How warm is it?", "And tomorrow?")
    assert (thought.role, thought.items) == (Role.ASSISTANT, (Reasoning(text="Hm."), *CALLS))
    expected = (
        ToolResult(call_id="call_2", output="noon"),
        ToolResult(call_id="call_1", output="22"),
    )
    assert results.items == expected
    kept = newest(app).prompt
    assert (kept.text, kept.results, len(kept.messages)) == ("And tomorrow?", expected, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "H"},
                {"type": "reasoning.encrypted", "data": "x"},
                {"type": "reasoning.summary", "summary": "m."},
                "?",
            ]
        },
    ],
)
async def test_reasoning_is_taken_in_each_form(fields: dict[str, object]) -> None:
    app = application()
    async with app.client() as client:
        answer = {"role": "assistant", "content": "Warm.", **fields}
        response = await complete(client, QUESTION, answer, QUESTION)
    assert response.status_code == 200, response.text
    assert app.llm.asked[0].messages[1].items == (Reasoning(text="Hm."), Text(text="Warm."))


@pytest.mark.parametrize(
    ("messages", "param", "message"),
    [
        ([QUESTION, called(*CALLS), result("call_1"), QUESTION], "messages", "call_2"),
        ([QUESTION, called(*CALLS), QUESTION], "messages", "call_1, call_2"),
        ([QUESTION, called(*CALLS)], "messages", "call_1, call_2"),
        (
            [QUESTION, called(CALLS[0]), called(CALLS[1]), result("call_1"), result("call_2")],
            "messages",
            "call_1",
        ),
    ],
)
async def test_calls_without_a_result_are_refused_with_their_ids(
    messages: list[dict[str, Any]], param: str, message: str
) -> None:
    app = application()
    async with app.client() as client:
        response = await complete(client, *messages, tools=TOOLS)
    error = is_error(response, 400, "tool_results_missing")
    assert error["param"] == param
    assert error["message"].endswith(f"no result for {message}")
    assert app.llm.asked == []


@pytest.mark.parametrize(
    ("messages", "index", "message"),
    [
        ([QUESTION, result("call_1")], 1, "call_1"),
        ([QUESTION, called(CALLS[0]), result("call_1"), result("call_1")], 3, "call_1"),
        ([QUESTION, called(CALLS[0]), result("call_9")], 2, "call_9"),
        ([QUESTION, called(CALLS[0]), result("a b")], 2, "?"),
    ],
)
async def test_a_result_of_no_open_call_is_refused_with_its_id(
    messages: list[dict[str, Any]], index: int, message: str
) -> None:
    app = application()
    async with app.client() as client:
        response = await complete(client, *messages, tools=TOOLS)
    error = is_error(response, 400, "invalid_request")
    assert error["param"] == f"messages[{index}].tool_call_id"
    assert error["message"].endswith(f"no open call has such an id: {message}")
    assert app.llm.asked == []


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_above_that_of_the_model_is_refused_with_the_field_that_was_sent(
    field: str,
) -> None:
    app = ApplicationUnderTest(*ANSWER)
    async with app.client() as client:
        response = await complete(client, **{field: 11})
    assert is_error(response, 422, "invalid_request")["param"] == field
    assert app.llm.asked == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [TOOLS[1]] * 2}, "tools"),
        (
            {"tools": [{"function": {"name": f"f{number}"}} for number in range(129)]},
            "tools",
        ),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": "objekt"}}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
        ),
        ({"messages": [QUESTION, called(CALLS[0], CALLS[0])]}, "messages[1].tool_calls"),
        (
            {"messages": [QUESTION, {"role": "tool", "content": "1"}]},
            "messages[1].tool_call_id",
        ),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"tools": TOOLS, "tool_choice": "foo"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "a b"}}},
            "tool_choice.function.name",
        ),
        ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        (
            {
                "tools": TOOLS,
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none"}},
            },
            "tool_choice.allowed_tools.mode",
        ),
        ({"tools": TOOLS, "function_call": {"name": "a b"}}, "function_call.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
            "response_format.json_schema.name",
        ),
    ],
)
async def test_what_is_not_valid_is_refused_with_its_field(
    body: dict[str, object], param: str
) -> None:
    app = application()
    async with app.client() as client:
        response = await complete(client, **body)
    assert is_error(response, 422, "invalid_request")["param"] == param
    assert app.llm.asked == []


async def test_a_model_that_cannot_is_refused_with_those_that_can() -> None:
    app = application()
    async with app.client() as client:
        response = await complete(client, QUESTION, model="plain", tools=TOOLS)
        error = is_error(response, 422, "unsupported_by_model")
        assert error["message"].endswith("does not support tools; models that do: m, calls")
        messages = (QUESTION, called(CALLS[0]), result("call_1"))
        is_error(await complete(client, *messages, model="plain"), 422, "unsupported_by_model")


@pytest.mark.parametrize("is_sent_back", [True, False])
@pytest.mark.parametrize("call_id", ["call_0199a1b27c8070008a510f1d2c3b4a00", "call_1"])
async def test_what_a_provider_wants_back_with_a_call_comes_back(
    call_id: str, is_sent_back: bool
) -> None:
    app = application((SELECTED, replace(SIGNED, id=call_id), CALLING[-1]))
    async with app.client() as client:
        first = await complete(client, tools=TOOLS)
        (choice,) = first.json()["choices"]
        if call_id != "call_1":  # the id names the interaction
            only = app.history.kept.popitem()[1]
            only = replace(only, id="0199a1b2-7c80-7000-8a51-0f1d2c3b4a59")
            app.history.kept[only.id] = only
        answer = choice["message"]
        if is_sent_back:
            app.history.kept.clear()
        else:
            del answer["tool_calls"][0]["extra_content"]
        answer["tool_calls"][0]["function"]["arguments"] = '{"city":"Paris"}'
        response = await complete(client, QUESTION, answer, result(call_id), tools=TOOLS)
    assert response.status_code == 200, response.text
    (call,) = app.llm.asked[-1].messages[1].items
    assert isinstance(call, ToolCall)
    assert (call.metadata, call.arguments) == (SIGNATURE, '{"city":"Paris"}')


async def test_metadata_is_not_taken_from_another_user_or_another_tool() -> None:
    app = application((SELECTED, SIGNED, CALLING[-1]))
    async with app.client() as client:
        await complete(client, tools=TOOLS)
        messages = (QUESTION, called(SIGNED), result("call_1"))
        await complete(client, *messages, user="bob")
        other = called(replace(SIGNED, name="get_time"))
        await complete(client, QUESTION, other, result("call_1"))
    for prompt in app.llm.asked[1:]:
        (call,) = prompt.messages[1].items
        assert isinstance(call, ToolCall)
        assert call.metadata is None


@pytest.mark.parametrize(
    "extra", [{"provider_metadata": "?"}, {"google": {"thought_signature": "x"}}, "?", [1]]
)
async def test_other_extra_content_is_ignored(extra: object) -> None:
    app = application()
    answer = called(CALLS[0])
    answer["tool_calls"][0]["extra_content"] = extra  # type: ignore[index]
    async with app.client() as client:
        response = await complete(client, QUESTION, answer, result("call_1"))
    assert response.status_code == 200, response.text
    assert app.llm.asked[0].messages[1].items == (CALLS[0],)


async def test_a_conversation_goes_on_at_the_other_door() -> None:
    app = application(CALLING)
    async with app.client() as client:
        header = {"X-Conversation-Id": "c"}
        first = await complete(client, headers=header, tools=TOOLS)
        assert first.status_code == 200
        assert newest(app).conversation_id == "c"
        second = await chat(client, conversationId="c", toolResults=RESULTS, userPrompt=None)
        assert second.status_code == 200
    assert app.llm.asked[1].messages[1].items == CALLS


async def test_a_single_question_settles_the_open_calls_of_its_conversation() -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=[{"name": "get_weather"}], conversationId="c")
        await complete(client, metadata={"conversation_id": "c", "a": "b"})
    assert [one.output for one in newest(app).prompt.results] == [NOT_CARRIED_OUT] * 2
    assert newest(app).metadata == {"a": "b"}


@pytest.mark.parametrize("metadata", [None, {}, {"conversation_id": "c"}, {"a": "b"}])
async def test_the_header_files_the_turn_under_its_conversation(
    metadata: dict[str, str] | None,
) -> None:
    app = application()
    async with app.client() as client:
        header = {"x-conversation-id": "c"}
        await complete(client, headers=header, metadata=metadata)
        response = await complete(client, headers=header, metadata=metadata)
    assert response.status_code == 200
    assert newest(app).conversation_id == "c"
    assert [message.text for message in app.llm.asked[1].messages] == [
        *("How warm is it?", "It is 22 °C.", "How warm is it?"),
    ]


@pytest.mark.parametrize(
    ("header", "metadata"),
    [("c", {"conversation_id": "d"}), ("a b", None), ("", None), ("c" * 129, None)],
)
async def test_a_header_that_is_no_id_or_contradicts_the_body_is_refused(
    header: str, metadata: dict[str, str] | None
) -> None:
    app = application()
    async with app.client() as client:
        response = await complete(client, headers={"X-Conversation-Id": header}, metadata=metadata)
    assert is_error(response, 422, "invalid_request")["param"] == "X-Conversation-Id"
    assert app.llm.asked == []


async def test_a_repeated_header_is_refused() -> None:
    app = application()
    async with app.client() as client:
        response = await client.post(
            "/v1/chat/completions",
            json={"messages": [QUESTION]},
            headers=[("X-Conversation-Id", "c"), ("X-Conversation-Id", "d")],
        )
    assert is_error(response, 422, "invalid_request")["param"] == "X-Conversation-Id"


async def test_a_key_counts_for_one_conversation() -> None:
    app = application()
    async with app.client() as client:
        codes = [
            (
                await complete(
                    client, headers={"Idempotency-Key": "k", "X-Conversation-Id": conversation}
                )
            ).status_code
            for conversation in ("c", "c", "d")
        ]
    assert codes == [200, 200, 422]
    assert len(app.llm.asked) == 1


async def test_the_native_route_has_no_such_header() -> None:
    app = application()
    async with app.client() as client:
        await chat(client, headers={"X-Conversation-Id": "a b"})
    assert newest(app).conversation_id is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            ResponseFormat(schema="{}", name="n", is_strict=True),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d"}},
            ResponseFormat(schema="{}", name="n", description="d"),
        ),
    ],
)
async def test_the_format_of_the_answer_reaches_the_model(
    wanted: dict[str, object], expected: ResponseFormat | None
) -> None:
    app = application(ANSWER)
    async with app.client() as client:
        response = await complete(client, response_format=wanted)
    assert response.status_code == 200, response.text
    assert app.llm.asked[0].response_format == expected

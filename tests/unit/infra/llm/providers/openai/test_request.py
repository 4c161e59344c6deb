"""Requests of Chat Completions."""

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest

from domain.entities.items import (
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    text_of,
    tool_calls,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ResponseFormat, Tool, ToolChoice, ToolMode
from infra.llm.providers.openai.request import limit_field, request_body
from infra.llm.transport.dialect import Dialect
from infra.selftest.request_rules import check_openai

FAMILY = "server a-model"


def body_of(prompt: Prompt, dialect: Dialect | None = None) -> Any:
    return orjson.loads(request_body(prompt, dialect or Dialect(), model="openai/x", family=FAMILY))


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(Prompt.from_text("Hi")) == {
        "model": "openai/x",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_everything_that_was_chosen_is_sent() -> None:
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="Hi"),
            Message(role=Role.ASSISTANT, text="Hello."),
            Message(role=Role.USER, text="And?"),
        ),
        system="Be short.",
        temperature=0.0,
        max_output_tokens=7,
        top_p=0.9,
        stop=("END", "STOP"),
        seed=0,
    )
    assert body_of(prompt) == {
        "model": "openai/x",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "And?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": 7,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://my-company.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_the_bound_on_output_is_named_as_the_server_knows_it(base_url: str, field: str) -> None:
    assert limit_field(base_url) == field


CALL = ToolCall(id="call_1", name="x", arguments='{"n": 1.0}')


def own(value: str, family: str = FAMILY, kind: str = "openai") -> ProviderMetadata:
    return ProviderMetadata(kind=kind, family=family, value=value)


def conversation(*items: Item, **settings: Any) -> Prompt:
    calls = tool_calls(items)
    results = tuple(ToolResult(call_id=call.id, output="ok") for call in calls)
    return Prompt(
        messages=(
            Message(role=Role.USER, text="Hi"),
            Message(role=Role.ASSISTANT, text=text_of(items), items=items),
            Message(role=Role.USER, text="And?", items=(*results, Text(text="And?"))),
        ),
        **settings,
    )


def test_calls_and_results_are_sent_as_messages_that_follow_each_other() -> None:
    second = replace(CALL, id="call_2", arguments="{oops")
    body = body_of(conversation(Text(text="Let me see."), CALL, second, tools=(Tool(name="x"),)))
    check_openai(body)
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "x", "arguments": '{"n": 1.0}'}},
                {"id": "call_2", "type": "function", "function": {"name": "x", "arguments": "{oops"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
        {"role": "tool", "tool_call_id": "call_2", "content": "ok"},
        {"role": "user", "content": "And?"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        (None, ["x", "y"], None),
        (ToolChoice(), ["x", "y"], "auto"),
        (ToolChoice(mode=ToolMode.NONE), ["x", "y"], "none"),
        (ToolChoice(mode=ToolMode.REQUIRED), ["x", "y"], "required"),
        (ToolChoice(names=("y",)), ["y"], "auto"),
        (ToolChoice(mode=ToolMode.REQUIRED, names=("x", "y")), ["x", "y"], "required"),
        (
            ToolChoice(mode=ToolMode.REQUIRED, names=("y",)),
            ["y"],
            {"type": "function", "function": {"name": "y"}},
        ),
    ],
)
def test_tools_and_the_choice_of_them(
    choice: ToolChoice | None, names: list[str], sent: object
) -> None:
    schema = '{"type": "object", "properties": {"n": {"const": 1}}}'
    tools = (Tool(name="x", description="d", parameters=schema, is_strict=True), Tool(name="y"))
    body = body_of(
        replace(Prompt.from_text("Hi"), tools=tools, tool_choice=choice, parallel_tool_calls=False)
    )
    check_openai(body)
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert body.get("tool_choice") == sent
    assert body["parallel_tool_calls"] is False
    if "x" in names:
        function = {"name": "x", "description": "d", "parameters": orjson.loads(schema)}
        assert body["tools"][0]["function"] == {**function, "strict": True}


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (ResponseFormat(), {"type": "json_object"}),
        (
            ResponseFormat(schema='{"type":"object"}', name="n", description="d", is_strict=True),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": {"type": "object"},
                    "description": "d",
                    "strict": True,
                },
            },
        ),
    ],
)
def test_the_form_of_the_answer(wanted: ResponseFormat, sent: object) -> None:
    body = body_of(replace(Prompt.from_text("Hi"), response_format=wanted))
    check_openai(body)
    assert body["response_format"] == sent


DETAILS = '{"reasoning_details":[{"type":"reasoning.encrypted","data":"D","index":0}]}'
IN_FIELD = '{"reasoning_field":"reasoning"}'


@pytest.mark.parametrize(
    ("reasoning", "field", "sent"),
    [
        (own(DETAILS), None, {"reasoning_details": orjson.loads(DETAILS)["reasoning_details"]}),
        (own(DETAILS), "reasoning_details", {"reasoning_details": orjson.loads(DETAILS)["reasoning_details"]}),
        (own(DETAILS), "none", {}),
        (own(DETAILS), "reasoning_content", {"reasoning_content": "hm"}),
        (own(IN_FIELD), None, {"reasoning": "hm"}),
        (own(IN_FIELD), "reasoning_content", {"reasoning_content": "hm"}),
        (own(IN_FIELD), "reasoning_details", {}),
        (own(IN_FIELD), "none", {}),
        (own(IN_FIELD, family="other"), None, {}),
        (own(IN_FIELD, kind="gemini"), None, {}),
        (None, None, {}),
        (None, "reasoning_content", {"reasoning_content": ""}),
    ],
)  # fmt: skip
def test_reasoning_goes_back_to_its_family_under_the_name_it_came_under(
    reasoning: ProviderMetadata | None, field: str | None, sent: dict[str, Any]
) -> None:
    prompt = conversation(Reasoning(text="hm", metadata=reasoning), CALL)
    body = body_of(prompt, Dialect(reasoning_field=field))
    check_openai(body)
    message = body["messages"][1]
    assert {name: value for name, value in message.items() if name.startswith("reason")} == sent


def test_an_answer_of_reasoning_alone_is_left_out() -> None:
    body = body_of(conversation(Reasoning(text="hm", metadata=own(IN_FIELD))))
    assert [message["role"] for message in body["messages"]] == ["user", "user"]


def test_extra_content_of_a_call_goes_back_to_its_family_alone() -> None:
    value = '{"extra_content":{"google":{"thought_signature":"abc+/="}}}'
    for family, expected in (
        (FAMILY, {"google": {"thought_signature": "abc+/="}}),
        ("other", None),
    ):
        body = body_of(conversation(replace(CALL, metadata=own(value, family))))
        assert body["messages"][1]["tool_calls"][0].get("extra_content") == expected


@pytest.mark.parametrize(
    ("call_id", "is_short", "pattern"),
    [
        ("call_1", False, "call_1"),
        ("call_1", True, "[0-9a-f]{9}"),
        ("3sniiMddS", True, "3sniiMddS"),
        ("x" * 65, False, "[0-9a-f]{32}"),
        ("a b\ud83d", False, "[0-9a-f]{32}"),
    ],
)
def test_ids_that_a_server_rejects_are_mapped(call_id: str, is_short: bool, pattern: str) -> None:
    prompt = conversation(replace(CALL, id=call_id))
    body = body_of(prompt, Dialect(short_call_ids=is_short))
    sent = body["messages"][1]["tool_calls"][0]["id"]
    assert re.fullmatch(pattern, sent)
    assert body["messages"][2]["tool_call_id"] == sent


@pytest.mark.parametrize(
    ("result", "content"),
    [
        (ToolResult(call_id="call_1", output="22C"), "22C"),
        (ToolResult(call_id="call_1", output='{"a":1}', is_json=True), '{"a":1}'),
        (ToolResult(call_id="call_1", output="broken", is_error=True), "Error: broken"),
        (ToolResult(call_id="call_1", output='{"e":1}', is_json=True, is_error=True), '{"e":1}'),
    ],
)
def test_the_content_of_a_result(result: ToolResult, content: str) -> None:
    messages = conversation(CALL).messages[:2]
    results = Message(role=Role.USER, text="", items=(result,))
    body = body_of(Prompt(messages=(*messages, results)))
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": content}

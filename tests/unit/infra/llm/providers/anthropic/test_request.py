"""Anthropic's requests."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from domain.entities.items import (
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from infra.llm.providers.anthropic.request import request_body
from infra.llm.transport.dialect import Dialect
from tests.fakes.anthropic_rules import check_anthropic

FAMILY = "claude"
HI = Prompt.from_text("Hi")
SCHEMA = '{"type":"object","properties":{"city":{"type":"string","minLength":1}}}'
TOOL = Tool(name="x", description="Looks.", parameters=SCHEMA, is_strict=True)
CALL = ToolCall(id="toolu_1", name="x", arguments='{"city": "Paris"}')
RESULT = ToolResult(call_id="toolu_1", output="22C")
SIGNED = ProviderMetadata(kind="anthropic", family=FAMILY, value='{"signature":"c2ln+/=="}')


def body_of(prompt: Prompt, model: str = "claude-sonnet-4-6", **dialect: Any) -> Any:
    """Return a body that Anthropic accepts."""
    body = request_body(prompt, Dialect(**dialect), model=model, family=FAMILY, max_tokens=8000)
    document = orjson.loads(body)
    check_anthropic(document)
    return document


def user(*items: Item, text: str = "") -> Message:
    return Message(role=Role.USER, text=text, items=items)


def answer(*items: Item, text: str = "") -> Message:
    return Message(role=Role.ASSISTANT, text=text, items=items)


def conversation(*messages: Message, **more: Any) -> Prompt:
    return Prompt(messages=messages, tools=(TOOL,), **more)


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(HI) == {
        "model": "claude-sonnet-4-6",
        "max_tokens": 8000,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }


def test_everything_that_was_chosen_is_sent() -> None:
    prompt = Prompt(
        messages=(user(text="Hi"), answer(text="Hello."), user(text="And?")),
        system="Be short.",
        temperature=0.0,
        max_output_tokens=7,
        top_p=0.9,
        stop=("END", "\n"),
        seed=3,
    )
    assert body_of(prompt) == {
        "model": "claude-sonnet-4-6",
        "max_tokens": 7,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "And?"},
        ],
        "stream": True,
        "system": "Be short.",
        "stop_sequences": ["END"],
        "temperature": 0.0,
        "top_p": 0.9,
    }


def test_a_temperature_above_the_range_becomes_its_end() -> None:
    assert body_of(replace(HI, temperature=1.7))["temperature"] == 1.0


def test_calls_results_and_thinking_go_back_in_their_order() -> None:
    first = Reasoning(text="Let me see.", metadata=SIGNED)
    hidden = replace(SIGNED, value='{"data":"ZGF0YQ=="}')
    second = replace(CALL, id="toolu_2", arguments="")
    items = (
        first,
        Reasoning(text="", metadata=hidden),
        Text(text="Well."),
        Text(text=" "),
        CALL,
        second,
    )
    results = (
        Text(text="Both done."),
        replace(RESULT, call_id="toolu_2", output="", is_error=True),
        RESULT,
    )
    body = body_of(conversation(user(text="Hi"), answer(*items), user(*results)))
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln+/=="},
                {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                {"type": "text", "text": "Well."},
                {"type": "tool_use", "id": "toolu_1", "name": "x", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "x", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "22C"},
                {"type": "text", "text": "Both done."},
            ],
        },
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        replace(SIGNED, kind="gemini"),
        replace(SIGNED, family="another"),
        replace(SIGNED, value="{"),
        replace(SIGNED, value="[]"),
        replace(SIGNED, value="{}"),
    ],
)
def test_foreign_thinking_is_left_out(metadata: ProviderMetadata | None) -> None:
    thought = Reasoning(text="Hm.", metadata=metadata)
    prompt = Prompt(messages=(user(text="Hi"), answer(thought, Text(text="A.")), user(text="B?")))
    assert body_of(prompt)["messages"][1]["content"] == [{"type": "text", "text": "A."}]


@pytest.mark.parametrize("call_id", ["call.1:2", "é", "a" * 129, ""])
def test_ids_outside_the_alphabet_are_mapped_and_match(call_id: str) -> None:
    items = (replace(CALL, id=call_id), replace(CALL, id=call_id + "b"))
    results = tuple(replace(RESULT, call_id=item.id) for item in items)
    body = body_of(conversation(user(text="Hi"), answer(*items), user(*results)))
    called, answered = (message["content"] for message in body["messages"][1:])
    assert [block["id"] for block in called] == [block["tool_use_id"] for block in answered]


def test_an_id_that_a_server_repeats_is_used_once() -> None:
    turn = (answer(replace(CALL, id="call_0")), user(replace(RESULT, call_id="call_0")))
    body = body_of(conversation(user(text="Hi"), *turn, *turn, *turn))
    called = [message["content"][0]["id"] for message in body["messages"][1::2]]
    answered = [message["content"][0]["tool_use_id"] for message in body["messages"][2::2]]
    assert called == answered == ["call_0", "call_0_2", "call_0_3"]


def test_consecutive_messages_of_a_role_are_one() -> None:
    messages = (
        answer(text="Hello."),
        user(text="a"),
        user(text="b"),
        answer(CALL),
        answer(Reasoning(text="nothing of ours")),
        user(Text(text="c")),
        user(RESULT),
    )
    assert body_of(conversation(*messages))["messages"] == [
        {"role": "user", "content": "."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "x", "input": {"city": "Paris"}}
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "22C"},
                {"type": "text", "text": "c"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a":1.0,"b":9007199254740993}', {"a": 1.0, "b": 9007199254740993}),
        ("[1]", {"arguments": [1]}),
        ('{"a":', {"arguments": '{"a":'}),
        ("null", {}),
    ],
)
def test_arguments_are_an_object(arguments: str, expected: Any) -> None:
    call = replace(CALL, arguments=arguments)
    body = body_of(conversation(user(text="Hi"), answer(call), user(RESULT)))
    assert body["messages"][1]["content"][0]["input"] == expected


def test_attachments_are_sent_in_their_place() -> None:
    items = (
        Text(text="Look:"),
        Attachment(media_type="image/png", content=b"abc"),
        Attachment(media_type="image/*", url="https://example.com/a.png"),
        Attachment(media_type="application/pdf", content=b"abc", name="a.pdf"),
        Attachment(media_type="application/pdf", url="https://example.com/a.pdf"),
        Attachment(media_type="text/csv", content=b"1,2", name="a.csv"),
    )
    body = body_of(Prompt(messages=(user(*items, text="Look:"),)))
    base64 = {"type": "base64", "media_type": "image/png", "data": "YWJj"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": base64},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": base64 | {"media_type": "application/pdf"},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "text", "text": "a.csv:\n1,2"},
    ]


def test_tools_are_sent_with_schemas_of_objects() -> None:
    others = (Tool(name="y"), Tool(name="z", parameters='{"properties":{}}', is_strict=False))
    body = body_of(replace(HI, tools=(TOOL, *others)))
    assert body["tools"] == [
        {
            "name": "x",
            "description": "Looks.",
            "input_schema": orjson.loads(SCHEMA),
            "strict": True,
        },
        {"name": "y", "input_schema": {"type": "object"}},
        {"name": "z", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body
    assert "strict" not in body_of(replace(HI, tools=(TOOL,)), strict_tools=False)["tools"][0]


@pytest.mark.parametrize(
    ("choice", "is_parallel", "expected"),
    [
        (ToolChoice(), None, {"type": "auto"}),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode=ToolMode.REQUIRED), None, {"type": "any"}),
        (
            ToolChoice(mode=ToolMode.REQUIRED, names=("x",)),
            False,
            {"type": "tool", "name": "x", "disable_parallel_tool_use": True},
        ),
        (ToolChoice(mode=ToolMode.NONE), False, {"type": "none"}),
    ],
)
def test_the_choice_of_tools(
    choice: ToolChoice | None, is_parallel: bool | None, expected: Any
) -> None:
    prompt = replace(HI, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=is_parallel)
    assert body_of(prompt).get("tool_choice") == expected


def test_tools_that_may_not_be_chosen_are_left_out() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED, names=("x", "y"))
    tools = (TOOL, Tool(name="y"), Tool(name="z"))
    body = body_of(replace(HI, tools=tools, tool_choice=choice))
    assert [tool["name"] for tool in body["tools"]] == ["x", "y"]
    assert body["tool_choice"] == {"type": "any"}


def test_calls_without_tools_get_tools_that_may_not_be_called() -> None:
    prompt = replace(conversation(user(text="Hi"), answer(CALL), user(RESULT)), tools=())
    body = body_of(prompt)
    assert body["tools"] == [{"name": "x", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


def test_a_schema_of_the_answer_is_sent_as_the_api_supports_it() -> None:
    wanted = ResponseFormat(schema=SCHEMA, description="A city.")
    assert body_of(replace(HI, response_format=wanted))["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "{minLength: 1}"}},
                "additionalProperties": False,
                "description": "A city.",
            },
        }
    }


def test_json_without_a_schema_is_asked_for_in_the_instructions() -> None:
    prompt = replace(HI, system="Be short.", response_format=ResponseFormat())
    body = body_of(prompt)
    assert body["system"].startswith("Be short.\n\nAnswer with one JSON object")
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        (ReasoningEffort.MINIMAL, "low"),
        (ReasoningEffort.LOW, "low"),
        (ReasoningEffort.HIGH, "high"),
        (ReasoningEffort.EXTRA_HIGH, "xhigh"),
        (ReasoningEffort.MAXIMUM, "max"),
    ],
)
@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-5", "claude-haiku-5-1"])
def test_an_effort_is_sent_with_adaptive_thinking(
    effort: ReasoningEffort, expected: str, model: str
) -> None:
    body = body_of(replace(HI, reasoning_effort=effort, temperature=0.5, top_p=0.9), model)
    assert body["output_config"] == {"effort": expected}
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert "temperature" not in body
    assert "top_p" not in body


@pytest.mark.parametrize(
    "model",
    [
        "claude-3-7-sonnet-20250219",
        "claude-sonnet-4-20250514",
        "claude-opus-4-1-20250805",
        "claude-haiku-4-5",
        "claude-sonnet-4-5@20250929",
    ],
)
@pytest.mark.parametrize(("limit", "budget"), [(None, 4000), (60_000, 8192), (1025, 1024)])
def test_older_models_take_a_budget(model: str, limit: int | None, budget: int) -> None:
    prompt = replace(HI, reasoning_effort=ReasoningEffort.MEDIUM, max_output_tokens=limit)
    body = body_of(prompt, model)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in body


OLD = "claude-sonnet-4-5"


def test_a_small_limit_leaves_no_room_for_a_budget() -> None:
    prompt = replace(HI, reasoning_effort=ReasoningEffort.HIGH, max_output_tokens=1024)
    assert "thinking" not in body_of(prompt, OLD)


@pytest.mark.parametrize("model", [OLD, "claude-sonnet-4-6"])
def test_no_effort_switches_thinking_off(model: str) -> None:
    body = body_of(replace(HI, reasoning_effort=ReasoningEffort.NONE, temperature=0.5), model)
    assert body["thinking"] == {"type": "disabled"}
    assert body["temperature"] == 0.5


@pytest.mark.parametrize("model", [OLD, "claude-sonnet-4-6"])
def test_a_forced_call_and_a_partial_answer_exclude_thinking(model: str) -> None:
    thinks = replace(HI, reasoning_effort=ReasoningEffort.HIGH)
    forced = replace(thinks, tools=(TOOL,), tool_choice=ToolChoice(mode=ToolMode.REQUIRED))
    continued = replace(thinks, messages=(user(text="Hi"), answer(text="Hel")))
    assert "thinking" not in body_of(forced, model)
    assert "thinking" not in body_of(continued, model)


def test_a_budget_needs_the_thinking_of_the_calls_since_the_last_question() -> None:
    thought = Reasoning(text="Hm.", metadata=SIGNED)
    effort = {"reasoning_effort": ReasoningEffort.HIGH}
    question = user(text="Hi")
    signed, bare = (answer(thought, CALL), user(RESULT)), (answer(CALL), user(RESULT))
    assert "thinking" in body_of(conversation(question, *signed, **effort), OLD)
    assert "thinking" not in body_of(conversation(question, *bare, **effort), OLD)
    assert "thinking" not in body_of(conversation(question, *bare, *signed, **effort), OLD)
    assert "thinking" not in body_of(conversation(question, *bare, question, **effort), OLD)
    done = answer(text="Sunny.")
    assert "thinking" in body_of(conversation(question, *bare, done, question, **effort), OLD)
    assert "thinking" in body_of(conversation(question, *bare, **effort))

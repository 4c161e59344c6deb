"""Amazon Bedrock's requests."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from domain.entities.items import (
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import CacheMark, Message, Prompt, PromptCaching, Role
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from domain.exceptions import LLMRejected
from infra.llm.providers.bedrock.cache_points import knows_cache_points
from infra.llm.providers.bedrock.identity import Guardrail
from infra.llm.providers.bedrock.request import request_body
from infra.llm.transport.dialect import Dialect
from infra.selftest.bedrock_rules import check_bedrock

FAMILY = "claude"
CLAUDE = "us.anthropic.claude-sonnet-4-6"
HI = Prompt.from_text("Hi")
SCHEMA = '{"type":"object","properties":{"city":{"type":"string","minLength":1}}}'
TOOL = Tool(name="x", description="Looks.", parameters=SCHEMA, is_strict=True)
CALL = ToolCall(id="tooluse_1", name="x", arguments='{"city": "Paris"}')
RESULT = ToolResult(call_id="tooluse_1", output="22C")
SIGNED = ProviderMetadata(kind="bedrock", family=FAMILY, value='{"signature":"c2ln+/=="}')
SHAPE = (
    ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
    .operation_model("ConverseStream")
    .input_shape
)


def body_of(prompt: Prompt, upstream: str = CLAUDE, **dialect: Any) -> Any:
    """Return a body that Amazon Bedrock and its own client accept."""
    body = request_body(
        prompt, Dialect(**dialect), upstream=upstream, family=FAMILY, max_tokens=8000
    )
    document = orjson.loads(body)
    check_bedrock(document)
    report = ParamValidator().validate({"modelId": upstream, **document}, SHAPE)
    assert not report.has_errors(), report.generate_report()
    return document


def user(*items: Item, text: str = "") -> Message:
    return Message(role=Role.USER, text=text, items=items)


def answer(*items: Item, text: str = "") -> Message:
    return Message(role=Role.ASSISTANT, text=text, items=items)


def conversation(*messages: Message, **more: Any) -> Prompt:
    return Prompt(messages=messages, tools=(TOOL,), **more)


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(HI) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


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
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Hello."}]},
            {"role": "user", "content": [{"text": "And?"}]},
        ],
        "system": [{"text": "Be short."}],
        "inferenceConfig": {
            "maxTokens": 7,
            "stopSequences": ["END"],
            "temperature": 0.0,
            "topP": 0.9,
        },
    }


def test_a_temperature_above_the_range_becomes_its_end() -> None:
    assert body_of(replace(HI, temperature=1.7))["inferenceConfig"] == {"temperature": 1.0}


def test_calls_results_and_reasoning_go_back_in_their_order() -> None:
    hidden = replace(SIGNED, value='{"data":"ZGF0YQ=="}')
    second = replace(CALL, id="tooluse_2", arguments="")
    items = (
        Reasoning(text="Let me see.", metadata=SIGNED),
        Reasoning(text="", metadata=hidden),
        Text(text="Well."),
        Text(text=" "),
        CALL,
        second,
    )
    results = (
        Text(text="Both done."),
        replace(RESULT, call_id="tooluse_2", output="", is_error=True),
        replace(RESULT, output="[1]", is_json=True),
    )
    body = body_of(conversation(user(text="Hi"), answer(*items), user(*results)))
    signed = {"text": "Let me see.", "signature": "c2ln+/=="}
    failed = {"toolUseId": "tooluse_2", "content": [{"text": "[no output]"}], "status": "error"}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": signed}},
                {"reasoningContent": {"redactedContent": "ZGF0YQ=="}},
                {"text": "Well."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "x", "input": {"city": "Paris"}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "x", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": failed},
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "[1]"}]}},
                {"text": "Both done."},
            ],
        },
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        replace(SIGNED, kind="anthropic"),
        replace(SIGNED, family="another"),
        replace(SIGNED, value="{"),
        replace(SIGNED, value="{}"),
    ],
)
def test_foreign_reasoning_is_left_out(metadata: ProviderMetadata | None) -> None:
    thought = Reasoning(text="Hm.", metadata=metadata)
    prompt = Prompt(messages=(user(text="Hi"), answer(thought, Text(text="A.")), user(text="B?")))
    assert body_of(prompt)["messages"][1]["content"] == [{"text": "A."}]


@pytest.mark.parametrize("call_id", ["call.1:2", "é", "a" * 65, ""])
def test_ids_outside_the_alphabet_are_mapped_and_match(call_id: str) -> None:
    items = (replace(CALL, id=call_id), replace(CALL, id=call_id + "b"))
    results = tuple(replace(RESULT, call_id=item.id) for item in items)
    body = body_of(conversation(user(text="Hi"), answer(*items), user(*results)))
    called, answered = (message["content"] for message in body["messages"][1:])
    assert [block["toolUse"]["toolUseId"] for block in called] == [
        block["toolResult"]["toolUseId"] for block in answered
    ]


def test_an_id_that_a_server_repeats_is_used_once() -> None:
    repeated = "c" * 64
    turn = (answer(replace(CALL, id=repeated)), user(replace(RESULT, call_id=repeated)))
    body = body_of(conversation(user(text="Hi"), *turn, *turn, *turn))
    called = [message["content"][0]["toolUse"]["toolUseId"] for message in body["messages"][1::2]]
    assert len(set(called)) == 3


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
    result = {"toolUseId": "tooluse_1", "content": [{"text": "22C"}]}
    body = body_of(conversation(*messages))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert body["messages"][0]["content"] == [{"text": "."}]
    assert body["messages"][2]["content"] == [{"text": "a"}, {"text": "b"}]
    assert body["messages"][4]["content"] == [{"toolResult": result}, {"text": "c"}]


def test_a_blank_question_is_not_sent_blank() -> None:
    assert body_of(Prompt.from_text(" "))["messages"][0]["content"] == [{"text": "."}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a":1.0,"b":9007199254740993}', {"a": 1.0, "b": 9007199254740993}),
        ("[1]", {"arguments": [1]}),
        ('{"a":', {"arguments": '{"a":'}),
    ],
)
def test_arguments_are_an_object(arguments: str, expected: Any) -> None:
    call = replace(CALL, arguments=arguments)
    body = body_of(conversation(user(text="Hi"), answer(call), user(RESULT)))
    assert body["messages"][1]["content"][0]["toolUse"]["input"] == expected


def test_attachments_are_sent_in_their_place_under_different_names() -> None:
    pdf = Attachment(media_type="application/pdf", content=b"abc", name="Report_2026.v1  (é).pdf")
    items = (
        Attachment(media_type="image/png", content=b"abc"),
        pdf,
        pdf,
        Attachment(media_type="application/msword", content=b"abc"),
        Attachment(media_type="text/csv", content=b"1,2", name="a.csv"),
        Attachment(media_type="text/plain", content=b""),
    )
    messages = (user(*items), answer(text="Hm."), user(pdf))
    body = body_of(Prompt(messages=messages))
    source = {"bytes": "YWJj"}
    name = "Report 2026 v1 ( ) pdf"
    assert body["messages"][0]["content"] == [
        {"image": {"format": "png", "source": source}},
        {"document": {"format": "pdf", "name": name, "source": source}},
        {"document": {"format": "pdf", "name": f"{name} (2)", "source": source}},
        {"document": {"format": "doc", "name": "document", "source": source}},
        {"text": "a.csv:\n1,2"},
        {"text": "."},
    ]
    assert body["messages"][2]["content"] == [
        {"document": {"format": "pdf", "name": f"{name} (3)", "source": source}},
        {"text": "."},
    ]


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment(media_type="image/png", url="https://example.com/a.png"),
        Attachment(media_type="application/zip", content=b"abc"),
        Attachment(media_type="image/heic", content=b"abc"),
    ],
)
def test_an_attachment_that_the_api_cannot_receive_is_a_fault_of_the_request(
    attachment: Attachment,
) -> None:
    with pytest.raises(LLMRejected):
        body_of(Prompt(messages=(user(attachment),)))


def test_tools_are_sent_with_schemas_of_objects() -> None:
    others = (Tool(name="y"), Tool(name="z", parameters='{"properties":{}}', is_strict=False))
    body = body_of(replace(HI, tools=(TOOL, *others)))
    first = {
        "name": "x",
        "description": "Looks.",
        "inputSchema": {"json": orjson.loads(SCHEMA)},
        "strict": True,
    }
    empty = {"type": "object", "properties": {}}
    assert body["toolConfig"] == {
        "tools": [
            {"toolSpec": first},
            {"toolSpec": {"name": "y", "inputSchema": {"json": {"type": "object"}}}},
            {"toolSpec": {"name": "z", "inputSchema": {"json": empty}}},
        ]
    }
    plain = body_of(replace(HI, tools=(TOOL,)), strict_tools=False)
    assert "strict" not in plain["toolConfig"]["tools"][0]["toolSpec"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        (ToolChoice(), {"auto": {}}),
        (ToolChoice(mode=ToolMode.REQUIRED), {"any": {}}),
        (ToolChoice(mode=ToolMode.REQUIRED, names=("x",)), {"tool": {"name": "x"}}),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, expected: Any) -> None:
    prompt = replace(HI, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=False)
    assert body_of(prompt)["toolConfig"].get("toolChoice") == expected


def test_tools_that_may_not_be_chosen_are_left_out() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED, names=("x", "y"))
    tools = (TOOL, Tool(name="y"), Tool(name="z"))
    config = body_of(replace(HI, tools=tools, tool_choice=choice))["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["x", "y"]
    assert config["toolChoice"] == {"any": {}}


def test_without_calls_tools_that_may_not_be_called_are_not_sent() -> None:
    choice = ToolChoice(mode=ToolMode.NONE)
    body = body_of(replace(HI, tools=(TOOL,), tool_choice=choice))
    assert "toolConfig" not in body
    assert "system" not in body


@pytest.mark.parametrize("tools", [(), (TOOL,)])
def test_calls_get_the_tools_that_the_api_demands_and_an_instruction_against_more(
    tools: tuple[Tool, ...],
) -> None:
    choice = ToolChoice(mode=ToolMode.NONE) if tools else None
    messages = (user(text="Hi"), answer(CALL), user(RESULT))
    body = body_of(Prompt(messages=messages, tools=tools, tool_choice=choice, system="Be short."))
    spec = {"name": "x", "inputSchema": {"json": {"type": "object"}}}
    assert body["toolConfig"] == {"tools": [{"toolSpec": spec}]}
    assert body["system"] == [{"text": "Be short.\n\nAnswer without calling a tool."}]


def test_names_outside_the_alphabet_are_mapped_to_different_ones_everywhere() -> None:
    names = ("files.read", "files/read", "a" * 65, "a" * 66)
    tools = tuple(Tool(name=name) for name in names)
    choice = ToolChoice(mode=ToolMode.REQUIRED, names=names[:1])
    called = replace(CALL, name=names[0])
    messages = (user(text="Hi"), answer(called), user(RESULT))
    body = body_of(Prompt(messages=messages, tools=tools))
    sent = [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    assert len(set(sent)) == 4
    assert body["messages"][1]["content"][0]["toolUse"]["name"] == sent[0]
    chosen = body_of(Prompt(messages=messages, tools=tools, tool_choice=choice))["toolConfig"]
    assert chosen["toolChoice"] == {"tool": {"name": sent[0]}}


def test_a_schema_of_the_answer_is_sent_as_text() -> None:
    wanted = ResponseFormat(schema=SCHEMA, name="a city", description="A city.")
    (field,) = body_of(replace(HI, response_format=wanted))["outputConfig"].items()
    schema = field[1]["structure"]["jsonSchema"]
    assert (field[0], field[1]["type"]) == ("textFormat", "json_schema")
    assert schema.keys() == {"schema", "name", "description"}
    assert orjson.loads(schema["schema"]) == {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "{minLength: 1}"}},
        "additionalProperties": False,
    }


def test_a_model_without_schemas_is_asked_in_the_instructions() -> None:
    prompt = replace(HI, system="Be short.", response_format=ResponseFormat(schema=SCHEMA))
    body = body_of(prompt, response_schema=False)
    assert "outputConfig" not in body
    assert body["system"][0]["text"].startswith("Be short.\n\nAnswer with one JSON value")
    assert body["system"][0]["text"].endswith(SCHEMA)


def test_json_without_a_schema_is_asked_for_in_the_instructions() -> None:
    body = body_of(replace(HI, response_format=ResponseFormat()))
    assert body["system"][0]["text"].startswith("Answer with one JSON object")
    assert "outputConfig" not in body


HIGH = replace(HI, reasoning_effort=ReasoningEffort.EXTRA_HIGH, temperature=0.5)
NONE = replace(HI, reasoning_effort=ReasoningEffort.NONE, temperature=0.5)
ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 4000}}
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f"


@pytest.mark.parametrize(
    ("upstream", "fields", "output"),
    [
        (CLAUDE, ADAPTIVE, {"effort": "xhigh"}),
        ("global.anthropic.claude-opus-5-v1:0", ADAPTIVE, {"effort": "xhigh"}),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", BUDGET, None),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", BUDGET, None),
        (
            "us.amazon.nova-2-lite-v1:0",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            None,
        ),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}, None),
        ("us.deepseek.r1-v1:0", None, {"effort": "high"}),
        (PROFILE, None, {"effort": "high"}),
    ],
)
def test_each_maker_s_models_are_asked_to_reason_in_their_own_way(
    upstream: str, fields: Any, output: Any
) -> None:
    body = body_of(HIGH, upstream)
    assert body.get("additionalModelRequestFields") == fields
    assert body.get("outputConfig") == output
    assert ("temperature" in body.get("inferenceConfig", {})) is ("thinking" not in (fields or {}))


@pytest.mark.parametrize(
    ("upstream", "fields"),
    [
        (CLAUDE, {"thinking": {"type": "disabled"}}),
        ("us.amazon.nova-2-lite-v1:0", {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", None),
        (PROFILE, None),
    ],
)
def test_no_effort_switches_reasoning_off(upstream: str, fields: Any) -> None:
    body = body_of(NONE, upstream)
    assert body.get("additionalModelRequestFields") == fields
    assert "outputConfig" not in body
    assert body["inferenceConfig"] == {"temperature": 0.5}


def test_a_budget_needs_the_reasoning_of_the_calls_since_the_last_question() -> None:
    old = "anthropic.claude-3-7-sonnet-20250219-v1:0"
    thought = Reasoning(text="Hm.", metadata=SIGNED)
    question = user(text="Hi")
    effort = {"reasoning_effort": ReasoningEffort.HIGH}
    for items, thinks in (((thought, CALL), True), ((CALL,), False)):
        body = body_of(conversation(question, answer(*items), user(RESULT), **effort), old)
        assert ("additionalModelRequestFields" in body) is thinks


POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def mark(position: int, ttl: str = "") -> CacheMark:
    return CacheMark(position=position, ttl=ttl)


def test_points_stand_where_the_caller_set_marks() -> None:
    image = Attachment(media_type="image/png", content=b"x")
    prompt = Prompt(
        system="One.Two.",
        tools=(TOOL, Tool(name="y")),
        messages=(
            Message(role=Role.USER, text="abcd", cache_marks=(mark(2),)),
            Message(
                role=Role.ASSISTANT,
                text="",
                items=(Reasoning(text="r", metadata=SIGNED), CALL),
                cache_marks=(mark(1), mark(2, "1h")),
            ),
            Message(
                role=Role.USER,
                text="So?",
                items=(image, RESULT, Text(text="So?")),
                cache_marks=(mark(2),),
            ),
        ),
        caching=PromptCaching(system=(mark(4),)),
    )
    body = body_of(prompt, cache_points=True)
    assert body["system"] == [{"text": "One."}, POINT, {"text": "Two."}]
    first, called, last = (message["content"] for message in body["messages"])
    assert first == [{"text": "ab"}, POINT, {"text": "cd"}]
    assert [next(iter(block)) for block in called] == ["reasoningContent", "toolUse", "cachePoint"]
    assert called[-1] == HOUR
    kinds = [next(iter(block)) for block in last]
    assert kinds == ["toolResult", "image", "cachePoint", "text"]
    without = body_of(prompt)
    assert "cachePoint" not in str(without)
    assert without["system"] == [{"text": "One.Two."}]


def test_points_after_tools_go_to_models_that_accept_them_there() -> None:
    prompt = replace(
        HI, tools=(TOOL, Tool(name="y")), caching=PromptCaching(tools=(mark(1, "1h"),))
    )
    tools = body_of(prompt, cache_points=True)["toolConfig"]["tools"]
    assert [next(iter(tool)) for tool in tools] == ["toolSpec", "cachePoint", "toolSpec"]
    assert tools[1] == HOUR
    nova = body_of(prompt, "us.amazon.nova-lite-v1:0", cache_points=True)
    assert [next(iter(tool)) for tool in nova["toolConfig"]["tools"]] == ["toolSpec", "toolSpec"]


@pytest.mark.parametrize(
    ("caching", "point"),
    [(PromptCaching(key="k"), POINT), (PromptCaching(whole=mark(0, "1h")), HOUR)],
)
def test_whoever_leaves_the_places_to_the_provider_gets_the_ends(
    caching: PromptCaching, point: Any
) -> None:
    prompt = replace(HI, system="Be short.", caching=caching)
    body = body_of(prompt, cache_points=True)
    assert body["system"] == [{"text": "Be short."}, point]
    assert body["messages"][-1]["content"] == [{"text": "Hi"}, point]
    json = body_of(replace(prompt, response_format=ResponseFormat()), cache_points=True)
    assert json["system"][:2] == [{"text": "Be short."}, point]
    assert "JSON" in json["system"][2]["text"]
    marks = tuple(mark(position) for position in range(1, 5))
    marked = replace(prompt, messages=(Message(role=Role.USER, text="abcde", cache_marks=marks),))
    assert str(body_of(marked, cache_points=True)).count("cachePoint") == 4
    partial = replace(prompt, messages=(*HI.messages, answer(text="H")))
    assert "cachePoint" not in str(body_of(partial, cache_points=True)["messages"])


@pytest.mark.parametrize(
    ("upstream", "knows"),
    [
        (CLAUDE, True),
        ("anthropic.claude-opus-4-1-20250805-v1:0", True),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", True),
        ("global.amazon.nova-2-lite-v1:0", True),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0", True),
        ("anthropic.claude-3-haiku-20240307-v1:0", False),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", False),
        ("anthropic.claude-v2", False),
        ("amazon.titan-text-lite-v1", False),
        ("us.deepseek.r1-v1:0", False),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", False),
    ],
)
def test_models_that_accept_points_are_known_by_their_ids(upstream: str, knows: bool) -> None:
    assert knows_cache_points(upstream) is knows


@pytest.mark.parametrize("trace", [None, "enabled", "disabled"])
def test_a_guardrail_is_named_in_every_request(trace: str | None) -> None:
    body = orjson.loads(
        request_body(
            HI,
            Dialect(),
            upstream=CLAUDE,
            family=FAMILY,
            max_tokens=None,
            guardrail=Guardrail(id="gr7", version="2", trace=trace),
        )
    )
    check_bedrock(body)
    assert not ParamValidator().validate({"modelId": CLAUDE, **body}, SHAPE).has_errors()
    named = {"guardrailIdentifier": "gr7", "guardrailVersion": "2"}
    assert body["guardrailConfig"] == named | ({} if trace is None else {"trace": trace})

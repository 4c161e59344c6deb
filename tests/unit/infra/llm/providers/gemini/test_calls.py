"""Gemini's tool calls, reasoning and signatures, in both directions."""

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
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import AnswerEvent, FinishReason, MetadataReceived, ReasoningDelta
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.gemini.request import request_body
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.stream_decoder import ReceivedAnswer
from infra.selftest.request_rules import PLACEHOLDER, check_gemini
from tests.fakes.gemini import event, of_parts
from tests.fakes.received import calls_of, events_of

FAMILY = "google"
STOP = of_parts([], finishReason="STOP")


def answer_to(*documents: Any, may_call: bool = True) -> list[AnswerEvent]:
    """Return all events of a stream of these documents, its `Reply` included."""
    answer = ReceivedAnswer("p", GeminiReader(FAMILY), {}, max_bytes=10_000, may_call=may_call)
    received = [answer.take(event(document)) for document in documents if not answer.is_over]
    if not answer.is_over:
        received.append(answer.take(b""))
    return [*events_of(*received), *answer.end(lambda usage: usage)]


def parts(*sent: dict[str, Any]) -> list[AnswerEvent]:
    """Return all events of a stream with one part an event."""
    return answer_to(*(of_parts([part]) for part in sent), STOP)


def signed(value: str, family: str = FAMILY, kind: str = "gemini") -> ProviderMetadata:
    return ProviderMetadata(kind=kind, family=family, value=value)


def partial(*arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"functionCall": {"partialArgs": list(arguments), "willContinue": True, **more}}


def test_a_call_comes_whole_with_its_signature_and_the_reason_is_tool_calls() -> None:
    call = {"functionCall": {"name": "x", "args": {"n": 1.5}}, "thoughtSignature": "a+/="}
    (found, reply) = parts(call, {"text": ""})
    assert isinstance(found, ToolCall)
    assert (found.name, found.arguments, found.metadata) == ("x", '{"n":1.5}', signed("a+/="))
    assert found.id.startswith("call_")
    assert reply.finish_reason is FinishReason.TOOL_CALLS  # type: ignore[union-attr]


def test_the_id_of_the_provider_is_kept() -> None:
    (found, _) = parts({"functionCall": {"id": "i", "name": "x", "args": {}}})
    assert isinstance(found, ToolCall)
    assert found.id == "i"


def test_of_parallel_calls_the_first_is_signed() -> None:
    first = {"functionCall": {"name": "x", "args": {}}, "thoughtSignature": "s"}
    second = {"functionCall": {"name": "y"}}
    found = answer_to(of_parts([{"text": "Hm."}, first, second]), STOP)
    assert found[0] == "Hm."
    assert calls_of(found) == [("x", "{}"), ("y", "{}")]
    assert [call.metadata for call in found[1:3]] == [signed("s"), None]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("CONTINUATION", FinishReason.LENGTH),
    ],
)
def test_length_and_filters_win_over_calls(reason: str, expected: FinishReason) -> None:
    document = of_parts([{"functionCall": {"name": "x"}}], finishReason=reason)
    (_, reply) = answer_to(document)
    assert reply.finish_reason is expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "reason",
    [
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "NO_IMAGE",
        "OTHER",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
    ],
)
def test_an_answer_that_went_wrong_is_a_failure(reason: str) -> None:
    with pytest.raises(Exception, match="gave up"):
        answer_to(of_parts([], finishReason=reason))


def test_a_call_that_was_not_asked_for_is_a_failure() -> None:
    with pytest.raises(UnreadableAnswer, match="no tools"):
        answer_to(of_parts([{"functionCall": {"name": "x"}}]), STOP, may_call=False)


def test_arguments_in_parts_are_joined() -> None:
    opener = {"functionCall": {"name": "x", "willContinue": True}, "thoughtSignature": "s"}
    found = parts(
        opener,
        partial({"jsonPath": "$.city", "stringValue": "Bos", "willContinue": True}),
        partial({"jsonPath": "$.city", "stringValue": "ton"}),
        partial({"jsonPath": "$.city", "willContinue": False}),
        partial({"jsonPath": "$.days[0].n", "numberValue": 2}, {"jsonPath": "$.ok", "boolValue": False}),
        partial({"jsonPath": "$.days[1]['a b']", "nullValue": "NULL_VALUE"}),
        {"functionCall": {}},
        {"functionCall": {"name": "y"}},
        {"functionCall": {}},
    )  # fmt: skip
    assert calls_of(found) == [
        ("x", '{"city":"Boston","days":[{"n":2},{"a b":null}],"ok":false}'),
        ("y", "{}"),
    ]
    assert found[0].metadata == signed("s")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "sent",
    [
        [{"functionCall": {"name": "x", "willContinue": True}}],
        [{"functionCall": {"name": "x", "willContinue": True}}, {"functionCall": {"name": "y"}}],
        [{"functionCall": {"args": {}}}],
        [{"functionCall": {"name": 7}}],
        [{"functionCall": {"name": "x", "args": []}}],
        [{"functionCall": 7}],
        [partial({"jsonPath": "$.a", "stringValue": "b"})],
        [partial({"jsonPath": "a", "stringValue": "b"}, name="x")],
        [partial({"jsonPath": "$", "stringValue": "b"}, name="x")],
        [partial({"jsonPath": "$" + "[0]" * 33, "stringValue": "b"}, name="x")],
        [partial({"jsonPath": "$.a[100000]", "stringValue": "b"}, name="x")],
        [partial(7, name="x")],  # type: ignore[arg-type]
        [{"text": "a", "thoughtSignature": 7}],
    ],
)
def test_calls_that_make_no_sense_or_were_cut_are_a_failure(sent: list[Any]) -> None:
    with pytest.raises(UnreadableAnswer):
        parts({"text": "Hm."}, *sent)


def test_half_a_character_in_arguments_is_marked() -> None:
    answer = ReceivedAnswer("p", GeminiReader(), {}, max_bytes=1000, may_call=True)
    call = event(of_parts([{"functionCall": {"name": "x", "args": {"a": "?"}}}]))
    received = answer.take(call.replace(b'"?"', b'"\\ud83d"'))
    assert calls_of(events_of(received)) == [("x", '{"a":"\ufffd"}')]


def test_thoughts_are_reasoning() -> None:
    found = parts({"text": "h", "thought": True}, {"text": "m", "thought": True}, {"text": "4"})
    assert found[:2] == [ReasoningDelta("hm"), "4"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            [{"text": "a"}, {"text": "b", "thoughtSignature": "s"}],
            ["ab", MetadataReceived(metadata=signed("s"), characters=1)],
        ),
        (
            [{"text": "a"}, {"text": "", "thoughtSignature": "s"}],
            ["a", MetadataReceived(metadata=signed("s"))],
        ),
        (
            [{"text": "a"}, {"thoughtSignature": "s"}],
            ["a", MetadataReceived(metadata=signed("s"))],
        ),
        (
            [{"text": "h", "thought": True, "thoughtSignature": "s"}, {"text": "a"}],
            [ReasoningDelta("h"), MetadataReceived(metadata=signed("s"), is_reasoning=True), "a"],
        ),
    ],
)
def test_a_signature_stays_with_its_part(sent: list[Any], expected: list[AnswerEvent]) -> None:
    assert parts(*sent)[:-1] == expected


def contents_of(*items: Item, results: tuple[ToolResult, ...] = (), text: str = "") -> Any:
    """Return what a conversation with an answer of `items` is sent as, without the question."""
    after = (*results, *([Text(text=text)] if text else []))
    last = Message(role=Role.USER, text=text, items=after) if after else None
    messages = (
        Message(role=Role.USER, text="Hi"),
        Message(role=Role.ASSISTANT, text=text_of(items), items=items),
        *([last] if last else []),
    )
    body = body_of(Prompt(messages=messages))
    if results:
        check_gemini(body)
    return body["contents"][1:]


def body_of(prompt: Prompt, upstream: str = "gemini-3-flash") -> Any:
    return orjson.loads(request_body(prompt, upstream=upstream, family=FAMILY))


def call(call_id: str, name: str = "x", metadata: ProviderMetadata | None = None) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments='{"n":1.0}', metadata=metadata)


def result(call_id: str, output: str = "ok", **more: Any) -> ToolResult:
    return ToolResult(call_id=call_id, output=output, **more)


def signatures_in(contents: Any) -> list[str | None]:
    return [part.get("thoughtSignature") for part in contents[0]["parts"]]


def test_signatures_go_back_in_their_parts() -> None:
    contents = contents_of(
        Reasoning(text="hm"),
        Reasoning(text="hm", metadata=signed("r")),
        Text(text="a"),
        Text(text="b", metadata=signed("t")),
        Text(text="", metadata=signed("e")),
        call("1", metadata=signed("c+/=")),
        call("2"),
        results=(result("1"), result("2")),
    )
    assert contents[0]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "r"},
        {"text": "a"},
        {"text": "b", "thoughtSignature": "t"},
        {"text": "", "thoughtSignature": "e"},
        {"functionCall": {"id": "1", "name": "x", "args": {"n": 1.0}}, "thoughtSignature": "c+/="},
        {"functionCall": {"id": "2", "name": "x", "args": {"n": 1.0}}},
    ]


@pytest.mark.parametrize(
    "metadata",
    [None, signed("s", family="vertex"), signed("s", kind="openai"), signed("s", "", "")],
)
def test_a_call_of_another_family_gets_the_placeholder(metadata: ProviderMetadata | None) -> None:
    contents = contents_of(
        Text(text="a", metadata=metadata),
        call("1", metadata=metadata),
        call("2", metadata=metadata),
        results=(result("1"), result("2")),
    )
    assert PLACEHOLDER == "skip_thought_signature_validator"
    assert signatures_in(contents) == [None, PLACEHOLDER, None]


def test_results_follow_in_the_order_of_the_calls_and_alone() -> None:
    contents = contents_of(
        call("1", "x"),
        call("2", "y"),
        results=(result("2", "two"), result("1", "one")),
        text="And?",
    )
    assert contents[1:] == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "1", "name": "x", "response": {"output": "one"}}},
                {"functionResponse": {"id": "2", "name": "y", "response": {"output": "two"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
    ]


@pytest.mark.parametrize(
    ("output", "more", "response"),
    [
        ("22C", {}, {"output": "22C"}),
        ("22C", {"is_error": True}, {"error": "22C"}),
        ('{"t":22}', {"is_json": True}, {"t": 22}),
        ('{"output":22}', {"is_json": True}, {"output": {"output": 22}}),
        ('{"error":1,"t":2}', {"is_json": True}, {"output": {"error": 1, "t": 2}}),
        ("[1]", {"is_json": True}, {"output": [1]}),
        ('{"t":22}', {"is_json": True, "is_error": True}, {"error": {"t": 22}}),
    ],
)
def test_a_response_is_an_object(output: str, more: dict[str, bool], response: object) -> None:
    contents = contents_of(call("1"), results=(result("1", output, **more),))
    assert contents[1]["parts"][0]["functionResponse"]["response"] == response


@pytest.mark.parametrize(
    ("arguments", "args"),
    [('{"n": 1.0, "big": 123456789012345678901}', '{"n": 1.0, "big": 123456789012345678901}'),
     ("", "{}"), ("{oops", '{"arguments":"{oops"}'), ("[1]", '{"arguments":[1]}')],
)  # fmt: skip
def test_arguments_are_an_object_as_they_were_written(arguments: str, args: str) -> None:
    items = (replace(call("1"), arguments=arguments),)
    answer = Message(role=Role.ASSISTANT, text="", items=items)
    prompt = Prompt(messages=(Message(role=Role.USER, text="Hi"), answer))
    assert f'"args":{args}'.encode() in request_body(prompt, upstream="g", family=FAMILY)


TOOLS = (Tool(name="x", description="d", parameters='{"type":"object"}'), Tool(name="y"))


@pytest.mark.parametrize(
    ("choice", "names", "config"),
    [
        (None, ["x", "y"], None),
        (ToolChoice(), ["x", "y"], None),
        (ToolChoice(mode=ToolMode.NONE), ["x", "y"], {"mode": "NONE"}),
        (ToolChoice(mode=ToolMode.REQUIRED), ["x", "y"], {"mode": "ANY"}),
        (
            ToolChoice(mode=ToolMode.REQUIRED, names=("y",)),
            ["x", "y"],
            {"mode": "ANY", "allowedFunctionNames": ["y"]},
        ),
        (ToolChoice(names=("y",)), ["y"], None),
    ],
)
def test_tools_and_the_choice_of_them(
    choice: ToolChoice | None, names: list[str], config: object
) -> None:
    prompt = replace(
        Prompt.from_text("Hi"), tools=TOOLS, tool_choice=choice, parallel_tool_calls=False
    )
    body = body_of(prompt)
    check_gemini(body)
    ((declarations,),) = [tool.values() for tool in body["tools"]]
    assert [declaration["name"] for declaration in declarations] == names
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config
    if "x" in names:
        declared = {"name": "x", "description": "d", "parametersJsonSchema": {"type": "object"}}
        assert declarations[0] == declared


def test_strict_tools_are_validated() -> None:
    tools = (replace(TOOLS[0], is_strict=True),)
    body = body_of(replace(Prompt.from_text("Hi"), tools=tools))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_a_schema_has_enumerations_in_place_of_constants() -> None:
    schema = (
        '{"type":"object","properties":{"const":{"const":1},"enum":{"anyOf":[{"const":"a"},{"enum":[{"const":2}]}]}},'
        '"$defs":{"const":{"type":"array","items":{"const":null}}},"default":{"const":3}}'
    )
    wanted = ResponseFormat(schema=schema, description="d")
    body = body_of(replace(Prompt.from_text("Hi"), response_format=wanted))
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {
                "const": {"enum": [1]},
                "enum": {"anyOf": [{"enum": ["a"]}, {"enum": [{"const": 2}]}]},
            },
            "$defs": {"const": {"type": "array", "items": {"enum": [None]}}},
            "default": {"const": 3},
            "description": "d",
        },
    }
    body = body_of(replace(Prompt.from_text("Hi"), response_format=ResponseFormat()))
    assert body["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("upstream", "effort", "thinking"),
    [
        ("gemini-3-flash", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-3-flash", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-flash-latest", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3-pro", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-pro", "max", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
    ],
)
def test_the_effort_of_reasoning(upstream: str, effort: str, thinking: object) -> None:
    prompt = replace(Prompt.from_text("Hi"), reasoning_effort=ReasoningEffort(effort))
    assert body_of(prompt, upstream)["generationConfig"]["thinkingConfig"] == thinking

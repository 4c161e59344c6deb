"""The check of documents from outside, and the table it follows from."""

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.items import (
    Attachment,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Usage
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from infra.history.format.documents import document_of, interaction_of, json_of
from infra.history.format.fields import (
    ATTACHMENT_OPTIONS,
    ATTEMPT,
    DERIVED,
    FORMAT,
    INTERACTION,
    ITEMS,
    OPTIONAL,
    OPTIONS,
    TOOL,
    USAGE,
    is_well_formed,
)
from tests.fakes.interactions import any_interactions

ID = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"

REQUIRED = {"id", "userId", "model", "status", "seconds"}

EVERY_COUNT = Usage(
    input_tokens=12,
    output_tokens=40,
    reasoning_tokens=8,
    total_tokens=52,
    cached_input_tokens=4,
    cost_usd=0.25,
)
EVERY_FIELD_OF_TEXT = Interaction(
    id=ID,
    user_id="ana",
    conversation_id="c-1",
    prompt=Prompt(
        messages=(
            Message(role=Role.USER, text="a?"),
            Message(role=Role.ASSISTANT, text="b."),
            Message(role=Role.USER, text="c?"),
        ),
        system="Be short.",
        model="alias",
        temperature=0.5,
        max_output_tokens=100,
        top_p=0.75,
        stop=("END",),
        seed=-7,
    ),
    requested_model="asked",
    model="answered",
    provider="p",
    text="d.",
    status=Status.TRUNCATED,
    finish_reason=FinishReason.LENGTH,
    usage=EVERY_COUNT,
    fallback_used=True,
    latency_seconds=1.5,
    time_to_first_token_seconds=0.5,
    attempts=(
        Attempt(provider="q", model="asked", outcome="timeout", seconds=1.0),
        Attempt(
            provider="p",
            model="answered",
            outcome="ok",
            seconds=0.5,
            http_status=200,
            usage=EVERY_COUNT,
        ),
    ),
    error="stream_broken",
)
MARK = ProviderMetadata(kind="k", family="f", value="v")
WITH_CACHES = replace(EVERY_COUNT, cache_write_tokens=2)
EVERY_FIELD = replace(
    EVERY_FIELD_OF_TEXT,
    is_background=True,
    usage=WITH_CACHES,
    attempts=(
        EVERY_FIELD_OF_TEXT.attempts[0],
        replace(EVERY_FIELD_OF_TEXT.attempts[1], usage=WITH_CACHES),
    ),
    credential="k3j5h2m9x0ab",
    previous_id="019aabb1-7c80-7000-8a51-0f1d2c3b4a58",
    prompt=replace(
        EVERY_FIELD_OF_TEXT.prompt,
        messages=(
            *EVERY_FIELD_OF_TEXT.prompt.messages[:2],
            Message(
                role=Role.USER,
                text="c?",
                items=(
                    ToolResult(call_id="0", output="[1]", is_json=True, is_error=True),
                    Text(text="c?", metadata=MARK),
                    Attachment(id="i", media_type="a/b", size_bytes=1, name="n", url="u"),
                ),
            ),
        ),
        tools=(Tool(name="t", description="d", parameters="{}", is_strict=False),),
        tool_choice=ToolChoice(mode=ToolMode.AUTO, names=("t",)),
        parallel_tool_calls=True,
        response_format=ResponseFormat(schema="{}", name="n", description="d", is_strict=True),
        reasoning_effort=ReasoningEffort.HIGH,
    ),
    items=(
        Reasoning(text="r", metadata=MARK),
        Text(text="d.", metadata=MARK),
        ToolCall(id="1", name="t", arguments="{", metadata=MARK),
    ),
    metadata={"a": "b"},
)
STORED_BY_EARLIER_VERSIONS = (
    b'{"v":1,"id":"019aabb1-7c80-7000-8a51-0f1d2c3b4a59","userId":"ana","model":"answered","status":"truncated",'
    b'"seconds":1.5,"answered":true,"conversationId":"c-1","requested":"asked","provider":"p","text":"d.",'
    b'"finish":"length","fallback":true,"firstSeconds":0.5,"error":"stream_broken","usage":{"input":12,"output":40,'
    b'"reasoning":8,"total":52,"cachedInput":4,"costUsd":0.25},"attempts":[{"provider":"q","model":"asked",'
    b'"outcome":"timeout","seconds":1.0},{"provider":"p","model":"answered","outcome":"ok","seconds":0.5,"http":200,'
    b'"input":12,"output":40,"reasoning":8,"total":52,"cachedInput":4,"costUsd":0.25}],"messages":[["user","a?"],'
    b'["assistant","b."],["user","c?"]],"system":"Be short.","asked":"alias","temperature":0.5,"maxOutputTokens":100,'
    b'"topP":0.75,"stop":["END"],"seed":-7}'
)


def test_stored_bytes_are_those_of_earlier_versions() -> None:
    assert json_of(EVERY_FIELD_OF_TEXT) == STORED_BY_EARLIER_VERSIONS
    assert interaction_of(orjson.loads(STORED_BY_EARLIER_VERSIONS)) == EVERY_FIELD_OF_TEXT
    assert is_well_formed(orjson.loads(STORED_BY_EARLIER_VERSIONS))


def test_every_field_that_is_written_is_in_the_table_and_no_other_is() -> None:
    document = document_of(EVERY_FIELD)
    # one of the two holds the question
    assert set(document) | {"prompt", "contentStored"} == set(INTERACTION) | DERIVED
    assert set(document["usage"]) == set(USAGE)
    assert set(document["attempts"][1]) == set(ATTEMPT)
    options = document["options"]
    # long instructions and tools are stored apart
    assert set(options) | {"systemContentId", "toolsContentId", "keepsInput"} == set(OPTIONS)
    assert set(options["tools"][0]) == set(TOOL) | {"name"}
    assert set(options["responseFormat"]) == set(FORMAT) | {"name"}
    *items, attachment = (*document["items"], *document["inputItems"][2])
    assert set(attachment) == {"type", "mediaType", *ATTACHMENT_OPTIONS}
    for item in items:
        assert set(item) - set(OPTIONAL) == set(ITEMS[item["type"]]) | {"type"}


@pytest.mark.parametrize("name", sorted(INTERACTION))
def test_every_field_in_the_table_is_checked(name: str) -> None:
    assert not is_well_formed(document_of(EVERY_FIELD) | {name: None})


@pytest.mark.parametrize(
    "name", sorted(set(INTERACTION) - REQUIRED - {"prompt", "messages", "contentStored"})
)
def test_every_field_in_the_table_is_read(name: str) -> None:
    document = document_of(EVERY_FIELD)
    del document[name]
    assert interaction_of(document) != EVERY_FIELD


def test_an_interaction_without_content_is_read_as_one() -> None:
    without = EVERY_FIELD.without_content()
    document = document_of(without)
    assert document["contentStored"] is False
    assert interaction_of(document) == without


_ITEM = {"type": "text", "length": 2}
_CALL = {"type": "tool_call", "id": "1", "name": "t", "arguments": ""}
_RESULT = {"type": "tool_result", "callId": "1", "output": "[]", "isJson": True}
_ATTACHMENT = {"type": "attachment", "id": "a", "mediaType": "b"}
_DEEP = "[" * 250 + "]" * 250


@pytest.mark.parametrize(
    "changes",
    [
        {"items": {}},
        {"items": [7]},
        {"items": [{}]},
        {"items": [{"type": []}, _ITEM]},
        {"items": [{"type": "image"}, _ITEM]},
        {"items": [{"type": "text"}]},
        {"items": [{"type": "text", "length": 1}]},
        {"items": [{"type": "text", "length": 3}]},
        {"items": [{"type": "text", "length": 2.0}]},
        {"items": [{"type": "text", "length": -1}, {"type": "text", "length": 3}]},
        {"items": [_CALL]},
        {"items": [_ITEM, _RESULT]},
        {"items": [_ITEM, {"type": "reasoning"}]},
        {"items": [_ITEM, _CALL | {"arguments": {}}]},
        {"items": [_ITEM | {"metadata": {}}]},
        {"items": [_ITEM | {"metadata": {"kind": "k", "family": "f", "value": 1}}]},
        {"inputItems": []},
        {"inputItems": [[], []]},
        {"inputItems": [[], [], [{"type": "text", "length": 1}]]},
        {"inputItems": [[], [], {}]},
        {"inputItems": [[], [], [_ITEM, _RESULT | {"output": "{"}]]},
        {"inputItems": [[], [], [_ITEM, _RESULT | {"output": _DEEP}]]},
        {"inputItems": [[], [], [_ITEM, _RESULT | {"isJson": 1}]]},
        {"inputItems": [[], [], [_ITEM, _RESULT | {"isError": None}]]},
        {"inputItems": [[], [], [_ITEM, {"type": "attachment"}]]},
        {"inputItems": [[], [], [_ITEM, _ATTACHMENT | {"bytes": 1.5}]]},
        {"inputItems": [[], [], [_ITEM, _ATTACHMENT | {"name": None}]]},
        {"options": {"tools": [{"description": ""}]}},
        {"options": {"tools": [{"name": "t", "parameters": {}}]}},
        {"options": {"tools": [{"name": "t", "strict": "no"}]}},
        {"options": {"toolChoice": "auto"}},
        {"options": {"toolChoice": {"mode": "auto", "names": "t"}}},
        {"options": {"parallelToolCalls": None}},
        {"options": {"responseFormat": {}}},
        {"options": {"responseFormat": {"name": "n", "schema": {}}}},
        {"options": {"reasoningEffort": 1}},
        {"metadata": {"a": "b"}},
        {"metadata": [["a", "b", "c"]]},
        {"metadata": [["a", 1]]},
        {"previousId": "x"},
    ],
)
def test_items_that_no_reader_could_show_are_refused(changes: dict[str, Any]) -> None:
    assert not is_well_formed(document_of(EVERY_FIELD) | changes)


def test_items_may_have_fields_of_a_later_version() -> None:
    document = document_of(EVERY_FIELD)
    document["items"][0]["mood"] = {"deep": []}
    document["items"][0]["isJson"] = True  # of tool results today
    document["options"]["mood"] = None
    assert is_well_formed(document)
    assert interaction_of(document) == EVERY_FIELD


def test_a_length_counts_characters_not_bytes_or_code_units() -> None:
    text = "\N{GRINNING FACE}e\u0301\0"
    items = (Text(text=text[:1]), Text(text=text[1:]), Text(text=""))
    stored = json_of(replace(EVERY_FIELD, text=text, items=items))
    escaped = json.dumps(orjson.loads(stored))
    for document in (orjson.loads(stored), orjson.loads(escaped)):
        assert is_well_formed(document)
        assert interaction_of(document).items == items


@pytest.mark.seen("C2")
@pytest.mark.parametrize(
    ("user_id", "is_right"),
    [
        ("ana", True),
        ("_a", True),
        ("-a", True),
        ("a=b~c|d+e", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("=a", False),
        ("a/b", False),
        ("ana\n", False),
        ("", False),
        (5, False),
        (None, False),
    ],
)
def test_a_message_has_a_user_id_as_every_door_takes_it(user_id: object, is_right: bool) -> None:
    assert is_well_formed({"id": ID, "userId": user_id}) is is_right


@pytest.mark.slow
@given(any_interactions)
def test_whatever_is_written_passes_the_check(interaction: Interaction) -> None:
    assert is_well_formed(orjson.loads(json_of(interaction)))


def test_long_texts_are_stored_by_their_ids() -> None:
    long = replace(
        EVERY_FIELD,
        prompt=replace(EVERY_FIELD.prompt, system_content_id="s-id", tools_content_id="t-id"),
        items=(ToolCall(id="1", name="t", arguments="{}", content_id="a-id"),),
        text="",
    )
    document = document_of(long)
    assert "system" not in document
    assert document["options"]["systemContentId"] == "s-id"
    assert document["options"]["toolsContentId"] == "t-id"
    assert "tools" not in document["options"]
    assert document["items"] == [
        {"type": "tool_call", "id": "1", "name": "t", "arguments": "", "contentId": "a-id"}
    ]
    assert is_well_formed(document)
    read = interaction_of(document)
    assert set(read.content_ids) == {"s-id", "t-id", "a-id", "i"}

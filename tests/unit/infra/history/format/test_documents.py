"""What goes into a document comes out of it."""

from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given

from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.items import Reasoning, Text, ToolCall
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, Usage
from infra.history.format.documents import UnreadableDocument, document_of, interaction_of
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction, any_interactions


@given(any_interactions)
def test_any_interaction_survives_json(interaction: Interaction) -> None:
    through_json = orjson.loads(orjson.dumps(document_of(interaction)))

    assert interaction_of(through_json) == interaction


@given(any_interactions)
def test_a_document_says_whether_there_is_an_answer(interaction: Interaction) -> None:
    assert document_of(interaction).get("answered", False) is interaction.is_answered


def test_a_plain_interaction_takes_few_fields() -> None:
    assert document_of(an_interaction()) == {
        "v": 1,
        "id": an_interaction().id,
        "userId": "ana",
        "model": "demo",
        "provider": "scripted",
        "status": "completed",
        "answered": True,
        "prompt": "question 0",
        "text": "answer 0",
        "finish": "stop",
        "seconds": 1.25,
    }


def test_fields_added_by_a_later_program_are_no_obstacle() -> None:
    document = document_of(an_interaction()) | {"mood": "good"}

    assert interaction_of(document) == an_interaction()


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"status": "dreaming"},
        {"usage": 7},
        {"attempts": [{}]},
        {"stop": 1},
        {"prompt": None},
    ],
)
def test_what_is_not_an_interaction_of_this_version_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableDocument):
        interaction_of(document_of(an_interaction()) | changes)


@pytest.mark.parametrize("name", ["id", "userId", "model", "status", "seconds"])
def test_a_missing_field_is_refused(name: str) -> None:
    document = document_of(an_interaction())
    del document[name]

    with pytest.raises(UnreadableDocument):
        interaction_of(document)


def test_no_field_of_an_interaction_is_forgotten() -> None:
    known = {field.name for field in fields(Interaction)}

    assert {field.name for field in fields(Prompt)} == {
        "messages", "system", "model", "temperature", "max_output_tokens", "top_p", "stop", "seed", "tools",
        "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "keeps_input",
        "own_messages", "own_system", "system_content_id",
        "tools_content_id", "own_message", "caching",
    }, "a new field needs a place in the document; own_message and caching are never stored"  # fmt: skip
    assert known == {
        "id", "user_id", "conversation_id", "prompt", "requested_model", "model", "provider", "text", "status",
        "finish_reason", "usage", "fallback_used", "latency_seconds", "time_to_first_token_seconds", "attempts", "error",
        "previous_id", "items", "metadata", "is_content_stored", "is_background",
        "credential",
    }, "a new field needs a place in the document"  # fmt: skip


def test_a_blocked_one_is_answered_only_with_text() -> None:
    assert "answered" not in document_of(an_interaction(status=Status.BLOCKED, text=""))
    assert document_of(an_interaction(status=Status.BLOCKED))["answered"] is True


@pytest.mark.seen("A13")
@given(any_interactions)
def test_attempts_hold_nothing_that_older_workers_put_away(interaction: Interaction) -> None:
    attempts = document_of(interaction).get("attempts", [])
    assert all(
        isinstance(one, str | int | float) for attempt in attempts for one in attempt.values()
    )


@pytest.mark.seen("A13")
def test_attempts_of_before_they_had_a_usage_are_read() -> None:
    used = Usage(input_tokens=3, cost_usd=0.5)
    attempt = Attempt(provider="p", model="m", outcome="timeout", seconds=1.0, usage=used)
    document = document_of(an_interaction(attempts=(attempt, attempt), usage=used))
    for name in ("input", "costUsd"):
        del document["attempts"][0][name]
    assert [one.usage for one in interaction_of(document).attempts] == [None, used]


def test_a_turn_of_tools_is_stored_without_repeating_its_texts() -> None:
    mark = {"kind": "gemini", "family": "gemini", "value": "CiQB\u00ff/+=\n"}
    assert document_of(a_tool_turn(1)) == {
        **document_of(an_interaction(1)),
        "conversationId": "tools",
        "prompt": "and now 1?",
        "text": "words 1 and more",
        "finish": "stop",
        "inputItems": [
            [
                {
                    "type": "tool_result",
                    "callId": "call_0",
                    "output": '{"c": 1.0}',
                    "isJson": True,
                },
                {
                    "type": "tool_result",
                    "callId": "call_1",
                    "output": "no such city",
                    "isError": True,
                },
                {"type": "text", "length": 10},
            ]
        ],
        "options": {
            "tools": [
                {
                    "name": "weather",
                    "description": "Of a city",
                    "parameters": '{ "type":"object" }',
                },
                {"name": "now", "strict": True},
            ],
            "toolChoice": {"mode": "required", "names": ["weather"]},
            "parallelToolCalls": False,
            "responseFormat": {
                "name": "response",
                "schema": '{"type": "object"}',
                "strict": True,
            },
            "reasoningEffort": "low",
        },
        "items": [
            {"type": "reasoning", "text": "First the city.", "metadata": mark},
            {"type": "text", "length": 7},
            {"type": "text", "length": 9, "metadata": mark},
            {
                "type": "tool_call",
                "id": "call_2",
                "name": "weather",
                "arguments": '{ "city" : "Pará" }',
                "metadata": mark,
            },
            {"type": "tool_call", "id": "call_3", "name": "now", "arguments": "not json"},
        ],
        "previousId": an_id(0),
        "metadata": [["trace", "7"], ["$where", "a.b"]],
    }


def test_processes_of_the_version_before_know_every_finish_reason() -> None:
    stored = {
        document_of(an_interaction(finish_reason=reason, items=items)).get("finish")
        for reason in FinishReason
        for items in ((), (ToolCall(id="a", name="b", arguments=""),))
    }
    assert stored == {"stop", "length", "content_filter", "error"}


@pytest.mark.parametrize(
    ("reason", "items", "read"),
    [
        (FinishReason.STOP, (Reasoning(text="r"), Text(text="answer 0")), FinishReason.STOP),
        (FinishReason.TOOL_CALLS, a_tool_turn().items, FinishReason.TOOL_CALLS),
        (FinishReason.LENGTH, a_tool_turn().items, FinishReason.LENGTH),
        (FinishReason.CONTENT_FILTER, a_tool_turn().items, FinishReason.CONTENT_FILTER),
        (None, a_tool_turn().items, None),
    ],
)
def test_calls_among_the_items_decide_the_finish_reason(
    reason: FinishReason | None, items: tuple[Any, ...], read: FinishReason | None
) -> None:
    document = document_of(a_tool_turn(finish_reason=reason, items=items))
    assert interaction_of(document).finish_reason is read


@pytest.mark.parametrize(
    "changes",
    [
        {"finish": "tool_calls"},
        {"items": [{"type": "image"}]},
        {"items": [{"length": 8}]},
        {"items": 7},
        {"items": ["text"]},
        {"items": [{"type": "text", "length": "8"}]},
        {"inputItems": []},
        {"inputItems": [[], []]},
        {"options": {"reasoningEffort": "some"}},
        {"options": {"toolChoice": {"mode": "perhaps"}}},
        {"options": {"tools": [{}]}},
        {"metadata": [["a"]]},
    ],
)
def test_items_of_a_later_version_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableDocument):
        interaction_of(document_of(an_interaction()) | changes)

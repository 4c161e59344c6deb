"""Lines of exported interactions: what callers see, to the byte, and strict on the way back."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from app.dto.native.export_formats import ExportFormat, encode_interactions
from app.dto.native.history import HistoryPage
from app.dto.native.interaction import InteractionDto
from domain.entities.interaction import Interaction, Status
from domain.entities.items import Reasoning, Text, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason
from infra.history.format.documents import UnreadableDocument, interaction_in, record_of
from infra.history.transfer.jsonl_format import InvalidLine, digest_of_line, line_of, read_line
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction, any_interactions


def seen_by_callers(interaction: Interaction) -> dict[str, Any]:
    shown = InteractionDto.from_interaction(interaction).model_dump_json(by_alias=True)
    return dict(orjson.loads(shown))


def exported_over_http(interaction: Interaction) -> bytes:
    return encode_interactions(ExportFormat.JSONL, [interaction]).removesuffix(b"\n")


def as_exported(interaction: Interaction) -> Interaction:
    """Return the interaction without what callers never see."""
    prompt = interaction.prompt
    return replace(
        interaction,
        credential=None,
        prompt=replace(
            prompt,
            messages=(prompt.new_message,),
            model=None,
            max_output_tokens=None,
            top_p=None,
            stop=(),
            seed=None,
        ),
    )


@given(any_interactions)
def test_a_line_is_what_the_http_api_shows(interaction: Interaction) -> None:
    line = line_of(record_of(interaction))
    assert line == exported_over_http(interaction)
    shown = orjson.loads(line)
    shown.pop("details", None)
    assert shown == seen_by_callers(interaction)


@pytest.mark.slow
@given(any_interactions.filter(lambda one: not one.items and not one.metadata))
def test_a_line_of_text_is_byte_for_byte_what_the_http_api_shows(interaction: Interaction) -> None:
    text = replace(
        interaction, previous_id=None, prompt=Prompt.from_text("a", system="b", temperature=0.5)
    )
    shown = InteractionDto.from_interaction(text).model_dump_json(by_alias=True).encode()
    assert line_of(record_of(text)) == shown


@given(any_interactions)
def test_a_line_that_was_exported_comes_back_as_it_was(interaction: Interaction) -> None:
    possible = replace(interaction, conversation_id="c|1" if interaction.conversation_id else None)
    line = line_of(record_of(possible))

    record, canonical = read_line(line)

    assert canonical == line
    assert interaction_in(record) == as_exported(possible)
    assert record == record_of(as_exported(possible))
    assert line_of(record) == line


ATTEMPT = {"provider": "p", "model": "m", "outcome": "ok", "seconds": 1.0, "httpStatus": None}


def test_a_line_of_a_turn_of_tools() -> None:
    mark = {"kind": "gemini", "family": "gemini", "value": "CiQB\u00ff/+=\n"}
    line = orjson.loads(line_of(record_of(a_tool_turn(1))))
    assert {name: line[name] for name in line if name not in orjson.loads(a_line())} == {
        "previousId": an_id(0),
        "toolCalls": [
            {"id": "call_2", "name": "weather", "arguments": {"city": "Pará"}},
            {"id": "call_3", "name": "now", "arguments": "not json"},
        ],
        "toolResults": [
            {"callId": "call_0", "output": {"c": 1.0}},
            {"callId": "call_1", "output": "no such city", "isError": True},
        ],
        "reasoning": "First the city.",
        "metadata": {"trace": "7", "$where": "a.b"},
        "details": {
            "input": [
                {"type": "tool_result", "isJson": True, "output": '{"c": 1.0}'},
                {"type": "tool_result"},
                {"type": "text", "length": 10},
            ],
            "output": [
                {"type": "reasoning", "length": 15, "metadata": mark},
                {"type": "text", "length": 7},
                {"type": "text", "length": 9, "metadata": mark},
                {"type": "tool_call", "arguments": '{ "city" : "Pará" }', "metadata": mark},
                {"type": "tool_call"},
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
        },
    }
    assert line["finishReason"] == "tool_calls"


def test_a_page_of_history_can_be_imported_too() -> None:
    shown = seen_by_callers(a_tool_turn(1))
    record, canonical = read_line(orjson.dumps(shown))
    interaction = interaction_in(record)
    assert seen_by_callers(interaction) == shown
    assert read_line(canonical) == (record, canonical)
    assert interaction.items == (
        Reasoning(text="First the city."),
        Text(text="words 1 and more"),
        ToolCall(id="call_2", name="weather", arguments='{"city":"Pará"}'),
        ToolCall(id="call_3", name="now", arguments="not json"),
    )
    assert interaction.prompt.new_message.items == (
        ToolResult(call_id="call_0", output='{"c":1.0}', is_json=True),
        ToolResult(call_id="call_1", output="no such city", is_error=True),
        Text(text="and now 1?"),
    )


def test_arguments_too_deep_to_be_written_again_are_shown_as_text() -> None:
    for depth in (100, 240, 250, 254, 255, 1000, 5000):
        text = '{"a":' * depth + "1" + "}" * depth
        call = ToolCall(id="a", name="b", arguments=text)
        deep = an_interaction(text="", items=(call,), finish_reason=FinishReason.TOOL_CALLS)
        line = line_of(record_of(deep))
        assert line == exported_over_http(deep)
        assert read_line(line) == (record_of(deep), line)
        page = HistoryPage(
            history=[InteractionDto.from_interaction(deep)], next_cursor=None, complete=True
        )
        shown = orjson.loads(page.model_dump_json(by_alias=True))["history"][0]
        assert shown == seen_by_callers(deep)
        assert isinstance(shown["toolCalls"][0]["arguments"], str) is (depth > 240)


def a_tool_line(**changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(line_of(record_of(a_tool_turn(1)))) | changes)


CALL = {"id": "a", "name": "b", "arguments": "c"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (lambda: a_line(finishReason="tool_calls"), "finishReason: "),
        (lambda: a_tool_line(finishReason="stop"), "finishReason: "),
        (lambda: a_line(toolCalls=[]), "toolCalls: "),
        (lambda: a_line(toolResults=[]), "toolResults: "),
        (lambda: a_line(reasoning=""), "reasoning: "),
        (lambda: a_line(toolCalls=[CALL | {"arguments": 1}]), "toolCalls.0.arguments"),
        (lambda: a_line(toolCalls=[CALL | {"more": 1}]), "toolCalls.0.more: "),
        (lambda: a_tool_line(toolCalls=[CALL]), "details: "),
        (lambda: a_tool_line(toolCalls=[CALL] * 3), "details: "),
        (lambda: a_tool_line(toolResults=[]), "details: "),
        (lambda: a_tool_line(reasoning="other"), "details: "),
        (lambda: a_tool_line(reasoning=""), "details: "),
        (
            lambda: a_line(toolResults=[{"callId": "a", "output": 1, "isError": False}]),
            "toolResults.0.isError: ",
        ),
        (lambda: a_line(details={"more": 1}), "details.more: "),
        (lambda: a_line(details={"output": [{"type": "image"}]}), "details: "),
        (lambda: a_line(details={"output": [{"type": "text"}]}), "details: "),
        (lambda: a_line(details={"output": [{"type": "text", "length": 1}]}), "details: "),
        (lambda: a_line(details={"output": [{"type": "tool_call"}]}), "details: "),
        (lambda: a_line(details={"output": [{"type": "tool_result"}]}), "details: "),
        (
            lambda: a_line(details={"options": {"toolChoice": {"mode": "x"}}}),
            "details.options.toolChoice.mode: ",
        ),
        (lambda: a_line(details={"options": {"tools": [{}]}}), "details.options.tools.0.name: "),
        (lambda: a_line(metadata={"a": 1}), "metadata.a: "),
        (lambda: a_line(previousId="a"), "previousId: "),
    ],
)
def test_items_that_do_not_fit_each_other_are_refused(line: Callable[[], bytes], why: str) -> None:
    with pytest.raises(InvalidLine, match=re.escape(why)) as refusal:
        read_line(line())
    assert "weather" not in str(refusal.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"toolResults": [{"callId": "a", "output": "DEEP"}]},
        {"toolCalls": [CALL | {"arguments": {"a": "DEEP"}}], "finishReason": "tool_calls"},
    ],
)
def test_nesting_that_is_read_but_never_written_makes_a_line_invalid(
    changes: dict[str, Any],
) -> None:
    line = a_line(**changes).replace(b'"DEEP"', b"[" * 300 + b"]" * 300)
    with pytest.raises(InvalidLine, match="nested too deeply"):
        read_line(line)


def a_line(**changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(line_of(record_of(an_interaction()))) | changes)


def test_another_order_of_fields_and_spaces_mean_the_same() -> None:
    said = orjson.loads(a_line())
    spaced = orjson.dumps(dict(reversed(said.items())), option=orjson.OPT_INDENT_2)
    assert read_line(spaced.replace(b"\n", b" ")) == read_line(a_line())


@pytest.mark.seen("A13")
def test_lines_of_before_attempts_had_a_usage_are_read_and_a_usage_of_nothing_is_left_out() -> None:
    old = a_line(attempts=[ATTEMPT])
    assert read_line(old)[1] == old
    record, canonical = read_line(a_line(attempts=[ATTEMPT | {"usage": dict.fromkeys(USAGE)}]))
    assert canonical == old
    assert interaction_in(record).attempts[0].usage is None


USAGE = {
    "inputTokens": 1,
    "outputTokens": 1,
    "reasoningTokens": None,
    "totalTokens": 2,
    "costUsd": None,
}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf" + a_line(), "not JSON"),
        (a_line().replace(b"1.25", b"NaN"), "not JSON"),
        (a_line(response="?").replace(b'"?"', b'"\\ud800"'), "not JSON"),
        (b"[]", "dictionary"),
        (b"{}", "id: Field required"),
        (a_line(later=1), "later: Extra"),
        (a_line(id="x"), "id: "),
        (a_line(id="019aabb1-7c80-4000-8a51-0f1d2c3b4a59"), "id: "),
        (a_line(id="ffffffff-ffff-7000-8a51-0f1d2c3b4a59"), "id: "),
        (a_line(userId="a/b"), "userId: "),
        (a_line(userId="ana\n"), "userId: "),
        (a_line(timestamp="2026-11-22T10:00:00.124Z"), "timestamp: "),
        (a_line(timestamp="now"), "timestamp: "),
        (a_line(temperature="1"), "temperature: "),
        (a_line(temperature=3), "temperature: "),
        (a_line(status="done"), "status: "),
        (a_line(finishReason=""), "finishReason: "),
        (a_line(fallbackUsed=0), "fallbackUsed: "),
        (a_line(llmResponseSeconds=-1), "llmResponseSeconds: "),
        (a_line(usage=None), "usage: "),
        (a_line(usage=USAGE | {"inputTokens": 1.5}), "usage.inputTokens: "),
        (a_line(usage=USAGE | {"inputTokens": 2**63}), "usage.inputTokens: "),
        (a_line(attempts=[{}]), "attempts.0.provider: "),
        (a_line(attempts=[ATTEMPT | {"usage": {}}]), "attempts.0.usage.inputTokens: "),
        (a_line(attempts=[ATTEMPT | {"usage": USAGE | {"more": 1}}]), "attempts.0.usage.more: "),
        (a_line(attempts=[ATTEMPT | {"usage": None}]), "attempts.0.usage: "),
        (a_line(history={"status": "accepted"}), "history: Extra"),
    ],
)
def test_what_is_no_interaction_is_refused_without_being_repeated(line: bytes, why: str) -> None:
    with pytest.raises(InvalidLine, match=re.escape(why)) as refusal:
        read_line(line)
    assert "question 0" not in str(refusal.value)


def test_a_whole_number_is_a_number() -> None:
    record, canonical = read_line(a_line(temperature=1, llmResponseSeconds=2))
    assert b'"temperature":1.0' in canonical
    assert interaction_in(record).latency_seconds == 2.0


def test_what_callers_do_not_see_changes_no_digest() -> None:
    hidden = an_interaction(prompt=Prompt.from_text("question 0", max_output_tokens=7))
    assert digest_of_line(record_of(hidden)) == digest_of_line(record_of(an_interaction()))
    assert digest_of_line(record_of(an_interaction(text="x"))) != digest_of_line(record_of(hidden))


@pytest.mark.parametrize("status", Status)
def test_whether_there_is_an_answer_is_found_out_anew(status: Status) -> None:
    for text in ("", "words"):
        interaction = an_interaction(status=status, text=text)
        assert read_line(line_of(record_of(interaction)))[0] == record_of(interaction)


def test_a_record_of_a_later_version_is_not_guessed_at() -> None:
    record = record_of(an_interaction())
    later = replace(record, body=record.body.replace(b'"v":1', b'"v":2'))
    for broken in (later, replace(record, body=b"{}"), replace(record, body=b"[")):
        with pytest.raises(UnreadableDocument):
            line_of(broken)


MANY = (
    Message(role=Role.USER, text="one"),
    Message(
        role=Role.ASSISTANT,
        text="two",
        items=(ToolCall(id="c", name="n", arguments="{}"), Text(text="two")),
    ),
    Message(role=Role.USER, text="", items=(ToolResult(call_id="c", output="1", is_json=True),)),
    Message(role=Role.USER, text="three"),
)


@pytest.mark.parametrize(
    "interaction",
    [
        an_interaction(prompt=Prompt(messages=MANY, system="s", keeps_input=True).for_storage()),
        an_interaction(
            prompt=Prompt.from_text("hi"),
            metadata={"a": "b"},
        ).without_content(),
        a_tool_turn().without_content(),
    ],
    ids=["all input kept", "nothing kept", "nothing kept of a turn of tools"],
)
def test_turns_of_the_responses_format_are_the_same_after_a_round_trip(
    interaction: Interaction,
) -> None:
    record = record_of(interaction)
    line = line_of(record)
    assert read_line(line) == (record, line)
    assert line == exported_over_http(interaction_in(record))


def test_kept_messages_that_do_not_fit_their_line_are_refused() -> None:
    prompt = Prompt(messages=MANY, keeps_input=True).for_storage()
    line = orjson.loads(line_of(record_of(an_interaction(prompt=prompt))))
    for messages in ([["user", "another"]] * 4, [["assistant", "three"]] * 4, [["nobody", ""]] * 4):
        kept = {**line["details"]["kept"], "messages": messages}
        changed = line | {"details": line["details"] | {"kept": kept}}
        with pytest.raises(InvalidLine):
            read_line(orjson.dumps(changed))

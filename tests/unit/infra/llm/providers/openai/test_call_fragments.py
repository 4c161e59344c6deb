"""Tool calls in the shapes that servers send them in."""

import re
from typing import Any

import pytest

from domain.entities.items import ToolCall
from domain.entities.reply import AnswerEvent, FinishReason, MetadataReceived
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.stream_decoder import ReceivedAnswer
from tests.fakes.openai import DONE, chunk, completion, event
from tests.fakes.received import calls_of, events_of


def fragment(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an element of `tool_calls`, without the fields that are None."""
    function = {"name": name, "arguments": arguments}
    fields = {"index": index, "id": call_id, **more}
    return {
        **{field: value for field, value in fields.items() if value is not None},
        "function": {field: value for field, value in function.items() if value is not None},
    }


def answer_to(*documents: Any) -> list[AnswerEvent]:
    """Return all events of a stream of these documents, its `Reply` included."""
    answer = ReceivedAnswer("p", OpenAIReader("f"), {}, max_bytes=10_000, may_call=True)
    received = [answer.take(event(document)) for document in documents]
    received.append(answer.take(DONE))
    return [*events_of(*received), *answer.end(lambda usage: usage)]


def deltas(*fragments: dict[str, Any], reason: str | None = "tool_calls") -> list[AnswerEvent]:
    """Return all events of a stream with one fragment a delta."""
    sent = [chunk({"tool_calls": [each]}) for each in fragments]
    return answer_to(*sent, chunk({}, reason))


def ids_of(events: list[AnswerEvent]) -> list[str]:
    return [found.id for found in events if isinstance(found, ToolCall)]


@pytest.mark.parametrize(
    ("fragments", "calls", "ids"),
    [
        pytest.param(
            [
                fragment(0, "a", "x", ""),
                fragment(0, None, None, '{"n"'),
                fragment(0, None, None, ":1}"),
                fragment(1, "b", "y", ""),
                fragment(1, None, None, "{}"),
            ],
            [("x", '{"n":1}'), ("y", "{}")],
            ["a", "b"],
            id="openai",
        ),
        pytest.param(
            [
                fragment(0, "a", "x", ""),
                fragment(1, "b", "y", ""),
                fragment(0, None, None, "{}"),
                fragment(1, None, None, '{"n":2}'),
            ],
            [("x", "{}"), ("y", '{"n":2}')],
            ["a", "b"],
            id="fragments in turns",
        ),
        pytest.param(
            [fragment(None, "a", "x", "{}"), fragment(None, "b", "x", '{"n":2}')],
            [("x", "{}"), ("x", '{"n":2}')],
            ["a", "b"],
            id="no index",
        ),
        pytest.param(
            [
                fragment(None, "a", "x", ""),
                fragment(None, None, None, '{"n"'),
                fragment(None, None, None, ":1}"),
                fragment(None, "b", "y", "{}"),
            ],
            [("x", '{"n":1}'), ("y", "{}")],
            ["a", "b"],
            id="no index, in fragments",
        ),
        pytest.param(
            [fragment(0, "a", "x", "{}"), fragment(0, "b", "x", '{"n":2}')],
            [("x", "{}"), ("x", '{"n":2}')],
            ["a", "b"],
            id="index always 0, other ids",
        ),
        pytest.param(
            [
                fragment(0, "a", "x", ""),
                fragment(0, "", None, "{}"),
                fragment(0, "b", "y", ""),
                fragment(0, "", None, '{"n":2}'),
            ],
            [("x", "{}"), ("y", '{"n":2}')],
            ["a", "b"],
            id="index always 0, later ids empty",
        ),
        pytest.param(
            [fragment(1, "a", "x", ""), fragment(1, None, None, "{}")],
            [("x", "{}")],
            ["a"],
            id="index from 1",
        ),
        pytest.param(
            [
                fragment(0, None, "x", '{"n"'),
                {"index": 0, "function": {"id": "a", "name": "x", "arguments": ":1}"}},
            ],
            [("x", '{"n":1}')],
            ["a"],
            id="id in the function, name repeated",
        ),
        pytest.param(
            [fragment(0, "a", "x", '{"n"'), fragment(0, "a", "x", ":1}")],
            [("x", '{"n":1}')],
            ["a"],
            id="id and name repeated",
        ),
        pytest.param(
            [fragment(0, "a", "x", {"n": 1}), fragment(1, "b", "y", {})],
            [("x", '{"n":1}'), ("y", "{}")],
            ["a", "b"],
            id="arguments are objects",
        ),
        pytest.param(
            [fragment(0, "a", "x", '{"n":1'), fragment(1, "b", "y", "{oops")],
            [("x", '{"n":1'), ("y", "{oops")],
            ["a", "b"],
            id="arguments are no JSON",
        ),
        pytest.param(
            [fragment(0, "a", "x", ""), fragment(1, "b", "y")],
            [("x", "{}"), ("y", "{}")],
            ["a", "b"],
            id="no arguments",
        ),
    ],
)
def test_the_calls_are_the_same_in_every_shape(
    fragments: list[dict[str, Any]], calls: list[tuple[str, str]], ids: list[str]
) -> None:
    events = deltas(*fragments)
    assert calls_of(events) == calls
    assert ids_of(events) == ids
    together = answer_to(chunk({"tool_calls": fragments}), chunk({}, "stop"))
    assert (calls_of(together), ids_of(together)) == (calls, ids)


@pytest.mark.parametrize(
    "fragments",
    [
        [fragment(0, "", "x", "{}"), fragment(0, "", "y", "{}")],
        [fragment(None, "", "x", ""), fragment(None, "", "y", "{}")],
        [fragment(None, None, "x", '{"n":1}'), fragment(None, None, "x", '{"n":2}')],
        [fragment(0, None, "x", '{"n":1}'), fragment(0, None, "x", '{"n":2}')],
        [fragment(0, "", "x", "{}"), fragment(1, "", "x", "{}")],
    ],
)
def test_calls_without_ids_get_some(fragments: list[dict[str, Any]]) -> None:
    events = deltas(*fragments)
    ids = ids_of(events)
    assert len(set(ids)) == len(ids) == 2
    assert all(re.fullmatch(r"call_[0-9a-f]{32}", call_id) for call_id in ids)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("stop", FinishReason.TOOL_CALLS),
        (None, FinishReason.TOOL_CALLS),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_calls_decide_about_the_reason_but_for_length_and_filters(
    reason: str | None, expected: FinishReason
) -> None:
    *_, reply = deltas(fragment(0, "a", "x", "{}"), reason=reason)
    assert reply.finish_reason is expected  # type: ignore[union-attr]


def test_the_reason_tool_calls_without_any_is_stop() -> None:
    events = answer_to(chunk({"content": "hi"}), chunk({"tool_calls": []}, "tool_calls"))
    assert events[-1].finish_reason is FinishReason.STOP  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fragments", "calls"),
    [
        ([fragment(0, "a", "x", '{"n":1')], []),
        ([fragment(0, "a", "x", "")], []),
        ([fragment(0, "a", "x", '{"n":1}'), fragment(1, "b", "y", '{"n"')], [("x", '{"n":1}')]),
        ([fragment(0, "a", "x", ""), fragment(1, "b", "y", '{"n"')], [("x", "{}")]),
        ([fragment(0, "a", "x", "{}")], [("x", "{}")]),
        ([fragment(0, "a", "x", "12")], []),
    ],
)
def test_a_call_that_was_cut_at_the_limit_is_none(
    fragments: list[dict[str, Any]], calls: list[tuple[str, str]]
) -> None:
    assert calls_of(deltas(*fragments, reason="length")) == calls


def test_an_error_beside_choices_and_usage_is_an_error_whose_usage_counts() -> None:
    reader = OpenAIReader()
    error = {"error": {"code": 400, "message": "Token limit reached"}, "usage": {"total_tokens": 9}}
    with pytest.raises(ErrorInAnswer):
        reader.take(chunk({"content": ""}) | error)
    assert reader.usage().total_tokens == 9


def test_a_first_chunk_without_choices_is_nothing() -> None:
    filtered = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "id": ""}
    events = answer_to(filtered, chunk({"content": "hi"}), chunk({}, "stop"))
    assert events[0] == "hi"


def test_a_wrapper_of_several_calls_is_unwrapped() -> None:
    arguments = (
        '{"tool_uses":[{"recipient_name":"functions.x","parameters":{"n":1}},'
        '{"recipient_name":"y","parameters":{}}]}'
    )
    for wrapper in ("multi_tool_use.parallel", "parallel"):
        events = deltas(fragment(0, "a", wrapper, arguments))
        assert calls_of(events) == [("x", '{"n":1}'), ("y", "{}")]
        assert len(set(ids_of(events))) == 2
    assert calls_of(deltas(fragment(0, "a", "parallel", '{"n":1}'))) == [("parallel", '{"n":1}')]


def test_a_whole_message_has_calls_beside_empty_content() -> None:
    answer = completion("", "tool_calls")
    answer["choices"][0]["message"]["tool_calls"] = [fragment(0, "3sniiMddS", "x", "{}")]
    events = answer_to(answer)
    assert (calls_of(events), ids_of(events)) == ([("x", "{}")], ["3sniiMddS"])


def test_a_message_repeats_the_calls_of_its_deltas() -> None:
    call = fragment(0, "a", "x", "{}")
    message = {"role": "assistant", "content": "hi", "tool_calls": [call]}
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    assert calls_of(answer_to(chunk({"tool_calls": [call]}), whole)) == [("x", "{}")]
    events = answer_to(chunk({"content": "hi"}), whole)
    assert (events[0], calls_of(events)) == ("hi", [("x", "{}")])


def test_the_older_form_of_one_call_is_read() -> None:
    events = answer_to(
        chunk({"function_call": {"name": "x", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )
    assert calls_of(events) == [("x", "{}")]


def test_extra_content_is_kept_with_its_call() -> None:
    extra = {"google": {"thought_signature": "abc+/="}}
    (call, _) = deltas(fragment(0, "a", "x", "{}", extra_content=extra))
    assert isinstance(call, ToolCall)
    assert call.metadata is not None
    assert call.metadata.value == '{"extra_content":{"google":{"thought_signature":"abc+/="}}}'


@pytest.mark.parametrize(
    "calls",
    [
        "x",
        [7],
        [{"function": 7}],
        [fragment(0, "a", None, "{}")],
        [fragment(0, str(n), "x") for n in range(257)],
    ],
)
def test_calls_of_a_wrong_shape_are_a_failure(calls: Any) -> None:
    if isinstance(calls, list) and len(calls) > 256:
        calls = [fragment(n, str(n), "x") for n in range(257)]
    with pytest.raises(UnreadableAnswer):
        answer_to(chunk({"tool_calls": calls}), chunk({}, "stop"))


def test_half_a_character_in_arguments_is_marked() -> None:
    answer = ReceivedAnswer("p", OpenAIReader("f"), {}, max_bytes=1000, may_call=True)
    for half in (b"\\ud83d", b"\\ude42", b"\\ud83d"):
        call = event(chunk({"tool_calls": [fragment(0, "a", "x", "?")]}))
        answer.take(call.replace(b'"?"', b'"' + half + b'"'))
    answer.take(DONE)
    assert calls_of(answer.end(lambda usage: usage)) == [("x", "\U0001f642\ufffd")]


def reasoned(*documents: Any) -> list[AnswerEvent]:
    return [found for found in answer_to(*documents) if isinstance(found, MetadataReceived)]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_the_field_of_reasoning_is_kept(field: str) -> None:
    events = answer_to(chunk({field: "h"}), chunk({field: "m"}), chunk({"content": "a"}, "stop"))
    reasoning, metadata, text, _ = events
    assert reasoning.text == "hm"  # type: ignore[union-attr]
    assert metadata.metadata.value == f'{{"reasoning_field":"{field}"}}'  # type: ignore[union-attr]
    assert text == "a"


def test_fragments_of_reasoning_details_are_joined_and_elements_kept_apart() -> None:
    def details(*elements: dict[str, Any]) -> Any:
        return chunk({"content": "", "reasoning": None, "reasoning_details": list(elements)})

    text = {"type": "reasoning.text", "format": "f", "index": 0}
    encrypted = {"type": "reasoning.encrypted", "format": "f", "index": 0}
    (found,) = reasoned(
        details({**text, "text": "h", "signature": None}),
        details({**encrypted, "data": "D1", "id": "r1"}),
        details({**text, "text": "m"}),
        details({**text, "signature": "S"}),
        details({**encrypted, "data": "D2", "id": "r2"}),
        chunk({"content": "a"}, "stop"),
    )
    assert found.is_reasoning  # type: ignore[union-attr]
    value = found.metadata.value  # type: ignore[union-attr]
    assert value == (
        '{"reasoning_details":[{"type":"reasoning.text","format":"f","index":0,"text":"hm","signature":"S"},'
        '{"type":"reasoning.encrypted","format":"f","index":0,"data":"D1","id":"r1"},'
        '{"type":"reasoning.encrypted","format":"f","index":0,"data":"D2","id":"r2"}]}'
    )


def test_a_message_after_reasoning_alone_is_the_answer() -> None:
    message = {"content": "a", "reasoning_content": "hm"}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}]}
    events = answer_to(chunk({"reasoning_content": "hm"}), whole)
    assert [type(found).__name__ for found in events] == [
        "ReasoningDelta", "MetadataReceived", "str", "Reply",
    ]  # fmt: skip

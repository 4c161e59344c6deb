"""Interactions for tests: one by hand, any by hypothesis."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from domain.entities.interaction import Attempt, Interaction, Status, first_id_at
from domain.entities.items import (
    Attachment,
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
from domain.entities.reply import FinishReason, Usage
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode
from domain.interfaces.history import HistoryWriter
from tests.fakes.clock import START_MILLISECONDS


def an_id(number: int = 0, *, milliseconds: int = START_MILLISECONDS) -> str:
    """Return a UUIDv7: a greater number gives a greater id, a millisecond later."""
    time = first_id_at(milliseconds + number)[:13]
    return f"{time}-7000-8000-{number & 0xFFFF_FFFF_FFFF:012x}"


def begin(history: HistoryWriter, interaction: Interaction, *, lost_after_seconds: float) -> None:
    """Mark an interaction of status `interrupted` as in flight."""
    history.begin(
        interaction.id,
        interaction.user_id,
        lambda: interaction,
        lost_after_seconds=lost_after_seconds,
    )


def an_interaction(number: int = 0, **changes: Any) -> Interaction:
    """Return ana's completed interaction number so-and-so, changed as asked."""
    return replace(
        Interaction(
            id=an_id(number),
            user_id="ana",
            prompt=Prompt.from_text(f"question {number}"),
            requested_model="demo",
            model="demo",
            provider="scripted",
            text=f"answer {number}",
            status=Status.COMPLETED,
            finish_reason=FinishReason.STOP,
            latency_seconds=1.25,
        ),
        **changes,
    )


def a_tool_turn(number: int = 0, **changes: Any) -> Interaction:
    """Return ana's interaction number so-and-so with every field that a conversation with tools has."""
    mark = ProviderMetadata(kind="gemini", family="gemini", value="CiQB\u00ff/+=\n")
    return an_interaction(
        number,
        **{
            "conversation_id": "tools",
            "previous_id": an_id(number - 1) if number else None,
            "prompt": Prompt(
                messages=(
                    Message(
                        role=Role.USER,
                        text=f"and now {number}?",
                        items=(
                            ToolResult(call_id="call_0", output='{"c": 1.0}', is_json=True),
                            ToolResult(call_id="call_1", output="no such city", is_error=True),
                            Text(text=f"and now {number}?"),
                        ),
                    ),
                ),
                tools=(
                    Tool(name="weather", description="Of a city", parameters='{ "type":"object" }'),
                    Tool(name="now", is_strict=True),
                ),
                tool_choice=ToolChoice(mode=ToolMode.REQUIRED, names=("weather",)),
                parallel_tool_calls=False,
                response_format=ResponseFormat(schema='{"type": "object"}', is_strict=True),
                reasoning_effort=ReasoningEffort.LOW,
            ),
            "text": f"words {number} and more",
            "items": (
                Reasoning(text="First the city.", metadata=mark),
                Text(text=f"words {number}"),
                Text(text=" and more", metadata=mark),
                ToolCall(
                    id="call_2", name="weather", arguments='{ "city" : "Pará" }', metadata=mark
                ),
                ToolCall(id="call_3", name="now", arguments="not json"),
            ),
            "finish_reason": FinishReason.TOOL_CALLS,
            "metadata": {"trace": "7", "$where": "a.b"},
            **changes,
        },
    )


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_seconds = st.floats(min_value=0, max_value=1e6)
_tokens = st.none() | st.integers(0, 2**40)

_usages = st.builds(
    Usage,
    input_tokens=_tokens,
    output_tokens=_tokens,
    reasoning_tokens=_tokens,
    total_tokens=_tokens,
    cached_input_tokens=_tokens,
    cache_write_tokens=_tokens,
    cost_usd=st.none() | _seconds,
)
_marks = st.none() | st.builds(ProviderMetadata, kind=_texts, family=_texts, value=_texts)
_json_texts = st.builds(
    json.dumps,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | _texts,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
        max_leaves=4,
    ),
    indent=st.none() | st.just(1),
    ensure_ascii=st.booleans(),
    separators=st.none() | st.just((",", ":")),
)
_calls = st.builds(
    ToolCall, id=_texts, name=_texts, arguments=_texts | _json_texts, metadata=_marks
)
_results = st.builds(
    ToolResult, call_id=_texts, output=_texts, is_json=st.just(False), is_error=st.booleans()
) | st.builds(
    ToolResult, call_id=_texts, output=_json_texts, is_json=st.just(True), is_error=st.booleans()
)
_text_items = st.builds(Text, text=_texts, metadata=_marks)
_output_items = st.lists(
    _text_items | st.builds(Reasoning, text=_texts, metadata=_marks) | _calls, max_size=4
).map(tuple)
_attachments = st.builds(
    Attachment,
    id=st.none() | _texts,
    media_type=_texts,
    size_bytes=_tokens,
    name=st.none() | _texts,
    url=st.none() | _texts,
)
_input_items = st.lists(_text_items | _results | _attachments, max_size=4).map(tuple)


def _message(role: Role, text: str, items: tuple[Item, ...]) -> Message:
    return Message(role=role, text=text_of(items) if items else text, items=items)


_messages = st.builds(_message, st.sampled_from(Role), _texts, st.just(()) | _input_items)
_flags = st.none() | st.booleans()
_tools = st.builds(
    Tool, name=_texts, description=_texts, parameters=st.none() | _texts, is_strict=_flags
)
_prompts = st.builds(
    Prompt,
    messages=st.lists(_messages, min_size=1, max_size=3)
    .map(tuple)
    .filter(lambda messages: any(message.role is Role.USER for message in messages)),
    system=_texts,
    model=st.none() | _names,
    temperature=st.none() | st.floats(0, 2),
    max_output_tokens=_tokens,
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(_texts, max_size=2).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    tools=st.lists(_tools, max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(
        ToolChoice, mode=st.sampled_from(ToolMode), names=st.lists(_texts, max_size=2).map(tuple)
    ),
    parallel_tool_calls=_flags,
    response_format=st.none()
    | st.builds(
        ResponseFormat,
        schema=st.none() | _texts,
        name=_texts,
        description=_texts,
        is_strict=_flags,
    ),
    reasoning_effort=st.none() | st.sampled_from(ReasoningEffort),
)


def _consistent(interaction: Interaction) -> Interaction:
    """Return `interaction` with the text of its items, and the finish reason of its calls."""
    reason = interaction.finish_reason
    if reason in {FinishReason.STOP, FinishReason.TOOL_CALLS}:
        reason = FinishReason.TOOL_CALLS if tool_calls(interaction.items) else FinishReason.STOP
    text = text_of(interaction.items) if interaction.items else interaction.text
    return replace(interaction, text=text, finish_reason=reason)


any_interactions = st.builds(
    Interaction,
    id=st.integers(0, 2**40).map(an_id),
    user_id=st.just("ana"),
    conversation_id=st.none() | _names,
    previous_id=st.none() | st.integers(0, 2**40).map(an_id),
    prompt=_prompts,
    requested_model=_names,
    model=_names,
    provider=st.none() | _names,
    text=_texts,
    items=st.just(()) | _output_items,
    status=st.sampled_from(Status),
    finish_reason=st.none() | st.sampled_from(FinishReason),
    usage=_usages,
    fallback_used=st.booleans(),
    latency_seconds=_seconds,
    time_to_first_token_seconds=st.none() | _seconds,
    attempts=st.lists(
        st.builds(
            Attempt,
            provider=_names,
            model=_names,
            outcome=_names,
            seconds=_seconds,
            http_status=st.none() | st.integers(100, 599),
            usage=st.none() | _usages.filter(lambda usage: usage.is_reported),
        ),
        max_size=3,
    ).map(tuple),
    error=st.none() | _names,
    metadata=st.just({}) | st.dictionaries(_texts, _texts, max_size=2),
    credential=st.sampled_from([None, "k3j5h2m9x0ab", "token", "anonymous"]),
).map(_consistent)
"""Interactions as odd as the domain allows, all of ana's."""

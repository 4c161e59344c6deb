"""Interactions for tests: one by hand, any by hypothesis."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from domain.entities.interaction import Attempt, Interaction, Status, first_id_at
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Usage
from tests.fakes.clock import START_MILLISECONDS


def an_id(number: int = 0, *, milliseconds: int = START_MILLISECONDS) -> str:
    """Return a UUIDv7: a greater number gives a greater id, a millisecond later."""
    time = first_id_at(milliseconds + number)[:13]
    return f"{time}-7000-8000-{number & 0xFFFF_FFFF_FFFF:012x}"


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
    cost_usd=st.none() | _seconds,
)
_messages = st.builds(Message, role=st.sampled_from(Role), text=_texts)
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
)

any_interactions = st.builds(
    Interaction,
    id=st.integers(0, 2**40).map(an_id),
    user_id=st.just("ana"),
    conversation_id=st.none() | _names,
    prompt=_prompts,
    requested_model=_names,
    model=_names,
    provider=st.none() | _names,
    text=_texts,
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
)
"""Interactions as odd as the domain allows, all of ana's."""

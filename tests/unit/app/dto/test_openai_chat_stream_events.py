"""The chunks of a stream in OpenAI's format."""

import json
from typing import Any

from app.dto.openai_chat.stream_events import OpenAIChatStreamFormat
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.reply import FinishReason, ProviderSelected, Usage
from tests.fakes.interactions import an_id, an_interaction

NEVER = Deadline(1e9)
TURN = ChatRequestContext(
    id=an_id(),
    user_id="ana",
    model="m",
    started_seconds=0.0,
    first_text_deadline=NEVER,
    answer_deadline=NEVER,
)


def chunks(events: bytes) -> list[Any]:
    return [
        json.loads(one.removeprefix("data: "))
        for one in events.decode().split("\n\n")
        if one not in ("", "data: [DONE]")
    ]


def test_who_takes_up_an_answer_is_not_told_and_the_model_stays() -> None:
    framing = OpenAIChatStreamFormat(TURN, with_usage=False)
    framing.encode(ProviderSelected(provider="p", model="first"))
    assert framing.encode(ProviderSelected(provider="q", model="second", continues=True)) == b""
    (chunk,) = chunks(framing.encode("more"))
    assert chunk["model"] == "first"


def test_text_is_escaped_and_not_changed() -> None:
    framing = OpenAIChatStreamFormat(TURN, with_usage=False)
    framing.encode(ProviderSelected(provider="p", model='a "model"'))
    text = 'line\n\ndata: [DONE]\n\n"quoted" \\ % {} € \u2028'
    events = framing.encode(text)
    assert events.count(b"\n\n") == 1
    (chunk,) = chunks(events)
    assert chunk["choices"][0]["delta"] == {"content": text}
    assert chunk["model"] == 'a "model"'


def test_counts_the_provider_did_not_give_are_null_and_never_a_guess() -> None:
    framing = OpenAIChatStreamFormat(TURN, with_usage=True)
    framing.encode(ProviderSelected(provider="p", model="m"))
    usage = Usage(input_tokens=3)
    end, told = chunks(framing.encode(an_interaction(usage=usage)))
    assert end["usage"] is None
    assert (told["choices"], told["usage"]) == ([], None)


def test_thoughts_and_cached_tokens_are_told_and_a_missing_total_is_the_sum() -> None:
    framing = OpenAIChatStreamFormat(TURN, with_usage=True)
    framing.encode(ProviderSelected(provider="p", model="m"))
    usage = Usage(
        input_tokens=3,
        output_tokens=4,
        reasoning_tokens=2,
        cached_input_tokens=1,
        cache_write_tokens=2,
    )
    *_, told = chunks(framing.encode(an_interaction(usage=usage)))
    assert told["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_an_answer_cut_at_its_bound_says_length() -> None:
    framing = OpenAIChatStreamFormat(TURN, with_usage=False)
    framing.encode(ProviderSelected(provider="p", model="m"))
    (end,) = chunks(framing.encode(an_interaction(finish_reason=FinishReason.LENGTH)))
    assert end["choices"][0]["finish_reason"] == "length"

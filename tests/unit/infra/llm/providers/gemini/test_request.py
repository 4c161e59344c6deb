"""Gemini's requests."""

from typing import Any

import orjson
import pytest

from domain.entities.items import ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from infra.llm.providers.gemini.request import request_body
from infra.selftest.request_rules import check_gemini

FAMILY = "gemini"
CALL = ToolCall(id="call_1", name="get_weather", arguments="{}")


def body_of(prompt: Prompt, upstream: str = "gemini-3-flash") -> Any:
    return orjson.loads(request_body(prompt, upstream=upstream, family=FAMILY))


def test_a_question_is_sent_with_nothing_that_was_not_chosen() -> None:
    assert body_of(Prompt.from_text("Hi")) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]
    }


def test_everything_that_was_chosen_is_sent() -> None:
    prompt = Prompt(
        messages=(
            Message(role=Role.USER, text="Hi"),
            Message(role=Role.ASSISTANT, text="Hello."),
            Message(role=Role.USER, text="And?"),
        ),
        system="Be short.",
        temperature=0.0,
        max_output_tokens=7,
        top_p=0.9,
        stop=("END", "STOP"),
        seed=0,
    )
    assert body_of(prompt) == {
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "generationConfig": {
            "temperature": 0.0,
            "maxOutputTokens": 7,
            "topP": 0.9,
            "stopSequences": ["END", "STOP"],
            "seed": 0,
        },
    }


def test_an_answer_in_several_messages_is_one_content() -> None:
    """Google rejects a call that follows another content of the model."""
    messages = (
        Message(role=Role.USER, text="Hi"),
        Message(role=Role.ASSISTANT, text="Let me see."),
        Message(role=Role.ASSISTANT, text="", items=(CALL,)),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="call_1", output="22"),)),
    )
    body = body_of(Prompt(messages=messages))
    check_gemini(body)
    _, answer, _ = body["contents"]
    text, call = answer["parts"]
    assert text == {"text": "Let me see."}
    assert call["functionCall"]["id"] == "call_1"


@pytest.mark.parametrize("before", [(), (Message(role=Role.ASSISTANT, text="Let me see."),)])
def test_a_conversation_does_not_begin_with_a_call(before: tuple[Message, ...]) -> None:
    """A client that shortens its list of messages may send it so; OpenAI accepts that."""
    messages = (
        *before,
        Message(role=Role.ASSISTANT, text="", items=(CALL,)),
        Message(role=Role.USER, text="", items=(ToolResult(call_id="call_1", output="22"),)),
    )
    body = body_of(Prompt(messages=messages))
    check_gemini(body)
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
